// Real invoices, the customer named on one random line of each, lines in an order of chance: what every customer bought
// is what a direct count of the file says, which shares no code with the engine.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type Random, randomBelow, seededRandom } from '../../../shared/kernel/random.ts';
import { configOf, MINUTE, ProfileFold, T0 } from './harness.ts';

const FILE = new URL('../../fixtures/retail/online-retail-2010-12.csv.gz', import.meta.url);
const CONFIG = configOf(
  `events:
  - { name: line, when: 'event.name == "Line"' }
attributes:
  - { name: lines, type: counter, total: true, on: line }
  - { name: units, type: counter, total: true, on: line, by: event.properties.qty }
  - { name: pence, type: counter, total: true, on: line, by: event.properties.pence }
`,
  `keys:
    - { name: customer_id, limit: 1 }
    - { name: invoice, kind: contact, limit: 1000 }
  max_keys_per_profile: 1000`,
);

interface Line {
  readonly seq: string;
  readonly invoice: string;
  readonly customer: string;
  readonly qty: number;
  readonly pence: number;
}

interface Totals {
  lines: number;
  units: number;
  pence: number;
}

const LINES: readonly Line[] = gunzipSync(readFileSync(FILE))
  .toString('utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((text) => {
    const [seq = '', , invoice = '', customer = '', , , qty, price] = text.split(',');
    return { seq, invoice, customer, qty: Number(qty), pence: Math.round(Number(price) * 100) * Number(qty) };
  });

/** By customer, or by the invoice that has none. */
function countDirectly(): ReadonlyMap<string, Totals> {
  const totals = new Map<string, Totals>();
  for (const { customer, invoice, qty, pence } of LINES) {
    const owner = customer === '' ? `invoice ${invoice}` : customer;
    const sum = totals.get(owner) ?? { lines: 0, units: 0, pence: 0 };
    totals.set(owner, { lines: sum.lines + 1, units: sum.units + qty, pence: sum.pence + pence });
  }
  return totals;
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = randomBelow(random, i + 1);
    [copy[i], copy[j]] = [copy[j]!, copy[i]!];
  }
  return copy;
}

/** Of every invoice the one line that names its customer. */
function namedLines(random: Random): ReadonlySet<string> {
  const byInvoice = new Map<string, Line[]>();
  for (const line of LINES) byInvoice.set(line.invoice, [...(byInvoice.get(line.invoice) ?? []), line]);
  return new Set([...byInvoice.values()].map((lines) => lines[randomBelow(random, lines.length)]!.seq));
}

describe('invoices of which one line names the customer', () => {
  it.each([1, 2])('come to the totals of a direct count in any order (order %i)', (seed) => {
    const random = seededRandom(seed);
    const named = namedLines(random);
    const fold = new ProfileFold(CONFIG, { throughCodec: false });
    const sent = shuffled(LINES, random);
    for (const [index, { seq, invoice, customer, qty, pence }] of sent.entries()) {
      const keys = named.has(seq) && customer !== '' ? { invoice, customer_id: customer } : { invoice };
      const properties = { qty, pence };
      fold.send({ id: seq, name: 'Line', keys, properties }, T0 + index);
    }
    const expected = countDirectly();
    expect(fold.profiles()).toHaveLength(expected.size);
    for (const [owner, totals] of expected) {
      const [key, value] = owner.startsWith('invoice ')
        ? ['invoice', owner.slice(8)]
        : ['customer_id', owner];
      const { attributes } = fold.view(key as string, value as string, T0 + 60 * MINUTE);
      expect(attributes, owner).toMatchObject(totals);
    }
    const merges = fold.redirects().length;
    expect(merges, 'people who were known by several invoices first').toBeGreaterThan(100);
    expect(fold.contradictions()).toEqual([]);
  });
});
