// Evidence of a running system: two workers that get into each other's way, a gateway, nats-server. What the metrics count is
// what the audit log holds, fact by fact, and the questions why are answered from both logs.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLog } from '../../infra/log.ts';
import { createRegistry, type RunningDev, type RunningWorker, runDev, runWorker } from '../../infra/wire.ts';
import { type AuditFact, IDENTITY_KINDS } from '../../shared/contract/outbox.ts';
import { seededRandom } from '../../shared/kernel/random.ts';
import { parseRoleSettings } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';

const CONFIG = `
segment: evidence
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 2 }
    - { name: device, kind: device, limit: 100 }
`;
const EVENTS = 600;
const AT_ONCE = 25;

let folder: string;
let dev: RunningDev;
let worker: RunningWorker;
const registries: Registry[] = [];

function registry(): Registry {
  const made = createRegistry();
  registries.push(made);
  return made;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-evidence-'));
  const file = join(folder, 'evidence.yaml');
  await writeFile(file, CONFIG);
  const log = createLog('evidence', 'error');
  const flags = { config: [file], dataDir: join(folder, 'data'), shards: '8', eventsMaxBytes: '32MB' };
  const role = parseRoleSettings({ ...flags, port: '0' }, {});
  dev = await runDev({ ...role, natsUrl: undefined }, { log, registry: registry() });
  const settings = { ...role, natsUrl: dev.natsUrl, port: undefined };
  worker = await runWorker(settings, { log, registry: registry() });
  await eventually('both workers own shards', async () => {
    const owners = (await status()).shards.map(({ owner }) => owner);
    return new Set(owners).size === 2 && !owners.includes(null);
  });
}, 60_000);

afterAll(async () => {
  await worker?.stop();
  await dev?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

interface Status {
  readonly segments: readonly {
    readonly lag: number;
    readonly shards: readonly { readonly owner: string | null }[];
    readonly copies: readonly { readonly lag: number }[];
  }[];
}

interface Audit {
  readonly entries: readonly { readonly facts: readonly AuditFact[] }[];
  readonly complete: boolean;
  readonly next?: string;
}

async function get<Answer>(path: string): Promise<Answer> {
  const response = await fetch(`${dev.url}${path}`, { headers: { authorization: `Bearer ${dev.adminKey}` } });
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Answer;
}

async function post(events: readonly object[], query = ''): Promise<void> {
  const response = await fetch(`${dev.url}/v1/events${query}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${dev.writeKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ events }),
  });
  if (!response.ok) throw new Error(await response.text());
}

async function status(): Promise<Status['segments'][number]> {
  return (await get<Status>('/v1/status')).segments[0]!;
}

/** All facts of the audit log, over as many pages as it takes. */
async function facts(): Promise<readonly AuditFact[]> {
  const all: AuditFact[] = [];
  let cursor = '';
  do {
    const page: Audit = await get(`/v1/audit?limit=97${cursor}`);
    for (const entry of page.entries) all.push(...entry.facts);
    cursor = page.complete ? '' : `&next=${page.next}`;
  } while (cursor !== '');
  return all;
}

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

async function counted(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const one of registries) {
    const metric = await one.getSingleMetric('stitchwork_identity_facts_total')!.get();
    for (const { labels, value } of metric.values) {
      const name = `${labels.kind} ${labels.reason}`;
      counts[name] = (counts[name] ?? 0) + value;
    }
  }
  return counts;
}

it('metrics count every fact of the audit log once, whatever was decided again', async () => {
  const random = seededRandom(7);
  const pick = (name: string, count: number) => `${name}${Math.floor(random.next() * count)}`;
  const events = Array.from({ length: EVENTS }, (_, index) => ({
    messageId: `e${index}`,
    name: 'x',
    keys: {
      device: index % 29 === 0 ? 'guest' : pick('d', 60),
      ...(random.next() < 0.5 && { email: pick('m', 30) }),
      ...(random.next() < 0.4 && { customer_id: pick('c', 12) }),
    },
  }));
  for (let i = 0; i < EVENTS; i += AT_ONCE) await post(events.slice(i, i + AT_ONCE));
  await eventually('everything is applied', async () => (await status()).lag === 0);
  // Copies keep the order of commits: when the entry of a later commit is there, so is everything before it.
  await post([{ messageId: 'last', name: 'x', keys: { device: 'last' } }], '?wait=commit');
  await eventually('the last of them is in the audit log', async () => {
    return (await get<Audit>('/v1/audit?messageId=last')).entries.length === 1;
  });
  const kinds: readonly string[] = IDENTITY_KINDS;
  const inAudit = (await facts()).filter(({ kind }) => kinds.includes(kind));
  const expected = tally(inAudit.map(({ kind, reason }) => `${kind} ${reason ?? 'none'}`));
  expect(Object.keys(expected)).toEqual(
    expect.arrayContaining(['key_rejected junk', 'link_refused limit', 'profiles_merged none']),
  );
  expect(await counted()).toEqual(expected);
  const conflicts = await Promise.all(
    registries.map((one) => one.getSingleMetric('stitchwork_worker_conflicts_total')!.get()),
  );
  // Else nothing was decided again, and the test says little.
  expect(conflicts.flatMap(({ values }) => values).length).toBeGreaterThan(0);
}, 60_000);

it('why: one profile by the events that named both keys, two by the event that was refused', async () => {
  const send = (messageId: string, keys: object) => post([{ messageId, name: 'x', keys }], '?wait=commit');
  await send('w1', { device: 'phone' });
  await send('w2', { device: 'phone', customer_id: 'ann' });
  await send('w3', { customer_id: 'ann', email: 'ann@x.org' });
  await send('w4', { customer_id: 'bob', email: 'ann@x.org' });
  await eventually('the last of them is in the audit log', async () => {
    return (await get<Audit>('/v1/audit?messageId=w4')).entries.length === 1;
  });
  const one = await get<{ chain: readonly { messageId: string; by: string }[] }>(
    '/v1/profiles/device/phone/identity?with=email:ann@x.org',
  );
  expect(one.chain.map((step) => `${step.by} ${step.messageId}`)).toEqual(['event w2', 'event w3']);
  const two = await get<object>('/v1/profiles/customer_id/bob/identity?with=device:phone');
  expect(two).toMatchObject({
    one: false,
    because: ['refused', 'limit'],
    refusals: [{ messageId: 'w4', key: { name: 'email', value: 'ann@x.org' }, reason: 'limit' }],
    ifNamedNow: { joined: false },
  });
});
