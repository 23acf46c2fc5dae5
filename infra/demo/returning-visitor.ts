// The second part of the demo: somebody looks around without a name, signs in, and is known to be a Gold customer at once,
// by what a batch job has computed from all invoices.

import { decodeArchiveRecord } from '../../shared/contract/archive-record.ts';
import { recordKeys, type SegmentNames, segmentNames } from '../../shared/contract/names.ts';
import { isStitchworkError } from '../../shared/kernel/errors.ts';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { readLogState } from '../../shared/nats/log-state.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { type ApiTarget, apiFetch, apiGet } from '../cli/api-client.ts';
import { runJobNow } from '../cli/batch-jobs.ts';
import type { Io, Style } from '../cli/io.ts';
import type { RunningDev } from '../wire.ts';
import type { Expected } from './expected.ts';
import { readActivations } from './observed.ts';

export interface Visit {
  readonly customer: string;
  readonly rows: number;
  readonly jobSeconds: number;
  readonly stitchMs: number;
  readonly readMs: number;
  readonly row: Readonly<Record<string, unknown>>;
  readonly batchAsOf: string | null;
  readonly offer: Readonly<Record<string, unknown>> | undefined;
  /** What is not as it was counted. */
  readonly wrong: readonly string[];
}

interface Answer {
  readonly id: string;
  readonly keys: Readonly<Record<string, readonly string[]>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly batch: { readonly customers?: Readonly<Record<string, unknown>> };
  readonly batchAsOf: string | null;
}

const JOB = 'customers';
const COOKIE = 'demo-returning-visitor';
const DEADLINE_MS = 60_000;
const POLL_MS = 50;
const GOLD_SPEND = 1000;
/** Visits that are not timed: a process that has run for a second is not yet fast. */
const REHEARSALS = 30;

/** Undefined when there is no archive to compute from: DuckDB is not installed. */
export async function returningVisitor(
  dev: RunningDev,
  expected: Expected,
  io: Io,
): Promise<Visit | undefined> {
  const door = await connectNats({ url: dev.natsUrl, name: 'stitchwork demo' });
  try {
    const names = segmentNames(dev.segments[0] ?? '');
    if (!(await untilArchived(door, names, io))) return undefined;
    io.talk('computing tiers and offers from the archive');
    const run = await runJobNow(door, names, JOB, DEADLINE_MS, io);
    if (run.state !== 'succeeded') throw new Error(`the job ${JOB} ${run.state}: ${run.error}`);
    const jobSeconds = (run.endedMs - run.startedMs) / 1000;
    const visit = await signIn(dev, expected, io);
    const offer = await welcomeOf(door, names, visit.profileId, io);
    const wrong = differences(visit.row, offer, expected.customers.get(visit.customer)!.spend);
    return { ...visit, rows: run.rows ?? 0, jobSeconds, offer, wrong };
  } finally {
    await door.close();
  }
}

/** False when nobody keeps an archive. */
async function untilArchived(door: NatsDoor, names: SegmentNames, io: Io): Promise<boolean> {
  try {
    await import('@duckdb/node-api');
  } catch {
    io.talk('DuckDB is not installed: no archive, and no batch jobs');
    return false;
  }
  const store = createRecordStore(door, names);
  const { lastSequence } = await readLogState(door, names);
  await until(io, 'everything is archived', async () => {
    const record = (await store.read([recordKeys.archive], 'leader')).get(recordKeys.archive);
    return record?.value != null && decodeArchiveRecord(record.value).position >= lastSequence;
  });
  return true;
}

async function signIn(dev: RunningDev, expected: Expected, io: Io) {
  const admin: ApiTarget = { url: dev.url, key: dev.adminKey, segment: undefined };
  const writer: ApiTarget = { ...admin, key: dev.writeKey };
  const customer = [...expected.customers].sort(([, a], [, b]) => b.spend - a.spend)[0]![0];
  const profile = async (key: string, value: string) =>
    (await apiGet(admin, `/v1/profiles/${key}/${value}`)) as Answer;
  const known = () => profile('customer_id', customer);
  await until(io, 'the rows are in force', async () => (await known()).batch.customers !== undefined);
  let sent = 0;
  const send = async (name: string, keys: object, properties: object = {}) => {
    sent += 1;
    const body = JSON.stringify({ messageId: `visit-${sent}`, name, keys, properties });
    const headers = { 'content-type': 'application/json' };
    const answer = await apiFetch(writer, '/v1/events?wait=commit', { method: 'POST', body, headers });
    if (answer.status !== 200)
      throw new Error(`the visit was not committed: ${answer.status} ${await answer.text()}`);
  };
  for (let i = 0; i < REHEARSALS; i++) await send('product_view', { cookie: `rehearsal-${i}` });
  await send('product_view', { cookie: COOKIE }, { category: 'Yoga' });
  const before = io.clock.elapsedMs();
  await send('Signed In', { cookie: COOKIE, customer_id: customer });
  const stitched = io.clock.elapsedMs();
  const answer = await profile('cookie', COOKIE);
  const read = io.clock.elapsedMs();
  const { customers: row = {} } = answer.batch;
  const times = { stitchMs: stitched - before, readMs: read - stitched };
  return { customer, profileId: answer.id, row, batchAsOf: answer.batchAsOf, ...times };
}

async function welcomeOf(door: NatsDoor, names: SegmentNames, profileId: string, io: Io) {
  const find = async () =>
    (await readActivations(door, names)).find(
      (each) => each.name === 'welcome_back' && each.profileId === profileId,
    );
  await until(io, 'the visitor is welcomed', async () => (await find()) !== undefined).catch(() => {});
  return (await find())?.payload;
}

function differences(
  row: Readonly<Record<string, unknown>>,
  offer: Readonly<Record<string, unknown>> | undefined,
  spend: number,
): readonly string[] {
  const tier = spend >= GOLD_SPEND ? 'Gold' : 'not Gold';
  return [
    ...(Math.abs(Number(row.spend) - spend) < 1e-6
      ? []
      : [`the job counts a spend of ${row.spend}, counted ${spend}`]),
    ...(row.tier === tier ? [] : [`the tier is ${row.tier}, counted ${tier}`]),
    ...(typeof row.next_best_offer === 'string' ? [] : ['there is no offer']),
    ...(offer?.tier === tier && offer.offer === row.next_best_offer
      ? []
      : [`the welcome says ${JSON.stringify(offer)}`]),
  ];
}

async function until(io: Io, what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const endMs = io.clock.elapsedMs() + DEADLINE_MS;
  for (;;) {
    const found = await isTrue().catch((error: unknown) => {
      if (isStitchworkError(error)) return false;
      throw error;
    });
    if (found) return;
    if (io.clock.elapsedMs() > endMs) throw new Error(`not within ${DEADLINE_MS / 1000} s: ${what}`);
    await io.clock.sleep(POLL_MS);
  }
}

export function tellVisit(visit: Visit, style: Style): readonly string[] {
  const { customer, rows, jobSeconds, row, stitchMs, readMs, batchAsOf, offer } = visit;
  return [
    style.bold('A visitor comes back'),
    `  a job over the archive gave ${rows} customers a tier, days since their last purchase and an offer in ${jobSeconds.toFixed(1)} s`,
    `  somebody looks at a product: a cookie, nobody known`,
    `  the same cookie signs in as customer ${customer}: stitched, joined and decided in one commit, answered in ${stitchMs.toFixed(0)} ms`,
    `  read by the cookie in ${readMs.toFixed(0)} ms: ${row.tier}, ${row.days_since_purchase} days since the last purchase, next best offer ${row.next_best_offer}, as of ${batchAsOf}`,
    `  activation welcome_back ${JSON.stringify(offer)}`,
  ];
}
