// What definitions cost: an event with 5, 50 and 200 attributes, conditions or audiences, beside one with none, all in the
// same process and run. Every attribute is fed by every event, every condition is asked of every event.
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';
import type { SegmentConfig } from '../../../shared/contract/config/segment-config.ts';
import { decideCost } from '../decide-cost.ts';
import type { Case, Scenario } from '../scenario.ts';

const COUNTS = [5, 50, 200];
const HEAD = `segment: bench
stitching: { keys: [{ name: customer_id, limit: 1 }, { name: device, kind: device }] }
`;
/** One of each kind in turn. */
const KINDS: readonly ((i: number) => string)[] = [
  (i) => `{ name: a${i}, type: single, on: viewed, value: event.properties.category }`,
  (i) => `{ name: a${i}, type: counter, on: viewed, total: true, windows: [1h, 7d] }`,
  (i) => `{ name: a${i}, type: counter, on: viewed, total: true, by: event.properties.price }`,
  (i) => `{ name: a${i}, type: max, on: viewed, value: event.properties.price }`,
  (i) =>
    `{ name: a${i}, type: list, on: viewed, id: event.properties.product, fields: { price: event.properties.price }, max: 20 }`,
  (i) => `{ name: a${i}, type: most_frequent, on: viewed, value: event.properties.category }`,
  (i) => `{ name: a${i}, type: counter, on: viewed, distinct: event.properties.product, windows: [1d] }`,
  (i) => `{ name: a${i}, type: session, gap: 30m, aggregate: { views${i}: { count: viewed } } }`,
  (i) => `{ name: a${i}, type: avg, on: viewed, value: event.properties.price }`,
  (i) => `{ name: a${i}, type: single, on: viewed, value: event.properties.url, keep: first }`,
];

function parsed(yaml: string): SegmentConfig {
  const result = parseSegmentConfig(HEAD + yaml);
  if (result.kind === 'ok') return result.config;
  throw new Error(JSON.stringify(result.problems));
}

const list = (count: number, item: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => `  - ${item(i)}\n`).join('');
const VIEWED = `  - { name: viewed, when: 'event.name == "Viewed"' }\n`;

function viewOf(i: number): object {
  const properties = {
    category: `c${i % 12}`,
    product: `p${i % 300}`,
    price: (i % 500) / 4,
    url: `https://shop.example/p/${i % 300}`,
    title: 'A product',
    referrer: 'https://search.example/',
    language: 'en',
    width: 1280,
    logged_in: false,
    position: i % 40,
  };
  return { name: 'Viewed', properties };
}

function caseOf(name: string, config: SegmentConfig): Case {
  const { microsPerEvent, recordBytes } = decideCost(config, viewOf);
  return { name, figures: { 'us/event': microsPerEvent, 'record bytes': recordBytes } };
}

export const definitions: Scenario = {
  name: 'definitions',
  about:
    'deciding one event in memory by how much is defined, none of it found by the name of the event alone; no store',
  remote: false,
  byDefault: true,
  async run() {
    const cases: Case[] = [caseOf('nothing defined', parsed(''))];
    for (const count of COUNTS)
      cases.push(
        caseOf(
          `${count} attributes of all kinds`,
          parsed(`events:\n${VIEWED}attributes:\n${list(count, (i) => KINDS[i % KINDS.length]!(i))}`),
        ),
      );
    for (const count of COUNTS) {
      const asked = list(
        count,
        (i) =>
          `{ name: e${i}, when: 'event.properties.price > ${i}.5 && event.properties.category in ["c1", "c${i}"]' }`,
      );
      cases.push(caseOf(`${count} conditions`, parsed(`events:\n${asked}`)));
    }
    for (const count of COUNTS) {
      const audiences = list(count, (i) => `{ name: u${i}, when: 'profile.views["1h"] > ${i * 3}.0' }`);
      cases.push(
        caseOf(
          `${count} audiences over a counter that changes`,
          parsed(
            `events:\n${VIEWED}attributes:\n  - { name: views, type: counter, on: viewed, windows: [1h] }\naudiences:\n${audiences}`,
          ),
        ),
      );
    }
    return cases;
  },
};
