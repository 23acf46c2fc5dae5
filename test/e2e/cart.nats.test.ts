// Abandoned carts of a real web shop: whoever added to the cart and made no transaction in half an hour is written to, exactly
// those that a direct count of the events finds. Live, six hundred times as fast (half an hour is three seconds); and by replay
// of the file at the times that its events had.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DevHandle } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';
import { ensureBuilt, type Running, runCliProcess, startCli } from './cli-process.ts';

const FILE = new URL('../fixtures/cart/snowplow-ecommerce.jsonl.gz', import.meta.url);
const FASTER = 600;
const MINUTE = 60_000;
const WAIT_MS = 30 * MINUTE;
/** Nothing depends on longer gaps; gaps so near to the wait are decided by the machine. */
const GAP_MAX_MS = 45 * MINUTE;
const DOUBTFUL_MS = 8 * MINUTE;
const CONFIG = `segment: carts
stitching: { keys: [{ name: visitor, kind: device }] }
events:
  - { name: added, when: 'event.name == "add_to_cart"' }
  - { name: bought, when: 'event.name == "transaction"' }
activations: [{ name: mail }]
journeys:
  - { name: abandoned, enter: { on: added }, reentry: always, goal: { on: bought }, steps: [{ wait: ${WAIT_MS / FASTER / 1000}s }, { activate: mail }] }
`;

const ACTION = 'snowplow_ecommerce_snowplow_ecommerce_action_1_0_0';
const CONFIG_OF_THE_FILE = `segment: carts
stitching: { keys: [{ name: visitor, kind: device }] }
events:
  - { name: added, when: 'has(event.properties.action) && event.properties.action == "add_to_cart"' }
  - { name: bought, when: 'has(event.properties.action) && event.properties.action == "transaction"' }
activations: [{ name: mail, payload: { added: '{{ event.messageId }}' } }]
journeys:
  - { name: abandoned, enter: { on: added }, reentry: always, goal: { on: bought }, steps: [{ wait: 30m }, { activate: mail }] }
`;

interface CartEvent {
  readonly id: string;
  readonly name: string;
  readonly visitor: string;
  /** Since the visitor's first event. */
  readonly atMs: number;
}

/** Additions and transactions of each visitor, as if all had come at the same moment, long gaps cut short. */
function readVisits(): readonly (readonly CartEvent[])[] {
  const byVisitor = new Map<string, { id: string; name: string; ms: number }[]>();
  for (const line of gunzipSync(readFileSync(FILE)).toString('utf8').trim().split('\n')) {
    const row = JSON.parse(line) as Record<string, unknown>;
    const action = row[ACTION] as { type?: string } | null;
    const visitor = row.domain_userid as string | null;
    if (!visitor || !['add_to_cart', 'transaction'].includes(action?.type ?? '')) continue;
    const event = { id: String(row.event_id), name: action!.type!, ms: Date.parse(String(row.ts)) };
    byVisitor.set(visitor, [...(byVisitor.get(visitor) ?? []), event]);
  }
  return [...byVisitor].map(([visitor, events]) => {
    events.sort((a, b) => a.ms - b.ms || (a.id < b.id ? -1 : 1));
    let atMs = 0;
    return events.map(({ id, name, ms }, i) => {
      if (i > 0) atMs += Math.min(GAP_MAX_MS, ms - events[i - 1]!.ms);
      return { id, name, visitor, atMs };
    });
  });
}

/** Additions that no transaction follows in time, and when that is known; undefined: too near to call. */
function abandonedIn(events: readonly CartEvent[]): readonly string[] | undefined {
  const found: string[] = [];
  let freeFromMs = Number.NEGATIVE_INFINITY;
  let waitEndsMs = Number.NEGATIVE_INFINITY;
  for (const { name, atMs, id } of events) {
    if (Math.abs(atMs - waitEndsMs) < DOUBTFUL_MS) return undefined;
    if (name !== 'add_to_cart' || atMs < freeFromMs) continue;
    const order = events.find((other) => other.name === 'transaction' && other.atMs > atMs);
    const afterMs = (order?.atMs ?? Number.POSITIVE_INFINITY) - atMs;
    if (Math.abs(afterMs - WAIT_MS) < DOUBTFUL_MS) return undefined;
    const isOrdered = afterMs < WAIT_MS;
    freeFromMs = isOrdered ? order!.atMs : atMs + WAIT_MS;
    waitEndsMs = isOrdered ? Number.NEGATIVE_INFINITY : freeFromMs;
    if (!isOrdered) found.push(id);
  }
  return found;
}

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-carts-'));
let dev: Running;
let handle: DevHandle;

beforeAll(async () => {
  ensureBuilt();
  const file = join(folder, 'carts.yaml');
  writeFileSync(file, CONFIG);
  const flags = ['--shards', '4', '--events-max-bytes', '100MB', '--json', '--config', file];
  dev = startCli(['dev', '--port', '0', '--data-dir', join(folder, 'data'), ...flags]);
  handle = JSON.parse(await dev.line()) as DevHandle;
}, 60_000);

afterAll(async () => {
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  rmSync(folder, { recursive: true, force: true });
});

async function post({ id, name, visitor }: CartEvent): Promise<void> {
  const answer = await fetch(`${handle.url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` },
    body: JSON.stringify({ messageId: id, name, keys: { visitor } }),
  });
  expect(answer.status, await answer.clone().text()).toBe(202);
}

async function inside(): Promise<number> {
  const answer = await fetch(`${handle.url}/v1/journeys`, {
    headers: { authorization: `Bearer ${handle.adminKey}` },
  });
  const { journeys } = (await answer.json()) as { journeys: readonly { inside: number }[] };
  return journeys[0]!.inside;
}

async function toldIn(segment: string): Promise<readonly { keys: Record<string, string>; at: string }[]> {
  const { code, out, err } = await runCliProcess(
    ['tail', 'activations', '--segment', segment, '--all', '--no-follow', '--json'],
    { NATS_URL: handle.natsUrl, STITCHWORK_URL: handle.url, STITCHWORK_ADMIN_KEY: handle.adminKey },
  );
  expect(code, err).toBe(0);
  const lines = out.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line).body);
}

/** `<visitor> <moment>` of every cart that was left alone for half an hour, at the times of the file. */
function abandonedInFile(): readonly string[] {
  const found: string[] = [];
  const openSince = new Map<string, number>();
  const close = (nowMs: number) => {
    for (const [visitor, sinceMs] of openSince) {
      if (sinceMs + WAIT_MS > nowMs) continue;
      openSince.delete(visitor);
      found.push(`${visitor} ${new Date(sinceMs + WAIT_MS).toISOString()}`);
    }
  };
  for (const line of gunzipSync(readFileSync(FILE)).toString('utf8').trim().split('\n')) {
    const row = JSON.parse(line) as Record<string, unknown>;
    const [visitor, ms] = [String(row.domain_userid), Date.parse(String(row.ts))];
    if (row.domain_userid === null) continue;
    close(ms);
    const type = (row[ACTION] as { type?: string } | null)?.type;
    if (type === 'add_to_cart' && !openSince.has(visitor)) openSince.set(visitor, ms);
    if (type === 'transaction') openSince.delete(visitor);
  }
  close(Number.POSITIVE_INFINITY);
  return found;
}

it('tells of exactly those of the file, by replay at the times that its events had', async () => {
  const config = join(folder, 'file.yaml');
  writeFileSync(config, CONFIG_OF_THE_FILE);
  const fields = ['messageId=event_id', 'name=event_name', 'timestamp=ts', 'keys.visitor=domain_userid'];
  const { code, out, err } = await runCliProcess(
    [
      ...[
        'replay',
        FILE.pathname,
        '--segment',
        'carts',
        '--into',
        'carts-then',
        '--config',
        config,
        '--json',
      ],
      ...[...fields, `properties.action=${ACTION}.type`].flatMap((field) => ['--map', field]),
      ...['--until', '2023-01-01T00:00:00Z', '--events-max-bytes', '100MB'],
    ],
    { NATS_URL: handle.natsUrl, STITCHWORK_DATA_DIR: join(folder, 'data') },
  );
  expect(code, err).toBe(0);
  // Eleven have no visitor.
  expect(JSON.parse(out)).toMatchObject({ sent: 823, position: 834 });
  const told = (await toldIn('carts-then')).map(({ keys, at }) => `${keys.visitor} ${at}`);
  const expected = abandonedInFile();
  expect(expected.length).toBeGreaterThan(5);
  expect([...told].sort()).toEqual([...expected].sort());
}, 60_000);

it('tells of exactly the carts that a count of the file finds', async () => {
  const visits = readVisits().flatMap((events) => {
    const found = abandonedIn(events);
    return found ? [{ events, found }] : [];
  });
  const expected = visits.flatMap(({ found }) => found);
  const startMs = performance.now();
  await Promise.all(
    visits.map(async ({ events }) => {
      for (const event of events) {
        await sleep(Math.max(0, startMs + event.atMs / FASTER - performance.now()));
        await post(event);
      }
    }),
  );
  await eventually('nobody waits any more', async () => (await inside()) === 0, 30_000);
  const told = (await toldIn('carts')).map(({ keys }) => keys.visitor!);
  const due = visits.flatMap(({ events, found }) => found.map(() => events[0]!.visitor));
  expect(told.sort()).toEqual(due.sort());
  expect(expected.length).toBeGreaterThan(5);
  expect(visits.length).toBeGreaterThan(10);
  expect(visits.length).toBeGreaterThan(expected.length);
}, 120_000);
