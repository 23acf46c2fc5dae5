// Retention as a user meets it: a full log is a 503 and never a lost event, and a shard that stopped with an alarm shows
// in the status. Real gateway, worker, housekeeper and profile actor over a real nats-server.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createProfileActor } from '../../actors/profile/actor.ts';
import { createGateway } from '../../gateway/server.ts';
import { parseSegmentConfig } from '../../shared/contract/config/parse.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { systemClock } from '../../shared/kernel/clock.ts';
import { systemRandom } from '../../shared/kernel/random.ts';
import { createAuditLog } from '../../shared/nats/audit-log.ts';
import { createConfigStore } from '../../shared/nats/config-store.ts';
import { createMembership } from '../../shared/nats/membership.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecentEvents } from '../../shared/nats/recent-events.ts';
import { createReplyBoxes } from '../../shared/nats/replies.ts';
import { logOnlyHistory } from '../support/log-only-history.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually } from '../support/segment.ts';
import { RIG_SHARDS, Rig } from './rig.ts';

const KEY = 'retention-admin-key';
const headers = { authorization: `Bearer ${KEY}` };
const TINY_BYTES = 300_000;
const CONFIG_FILE = join(import.meta.dirname, '../crash/crash-segment.yaml');

let server: TestServer;
let rig: Rig;
let gateway: FastifyInstance;
let config: SegmentConfig;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

beforeEach(async () => {
  rig = await Rig.open(server.url, { eventsBytesMax: TINY_BYTES });
  const parsed = parseSegmentConfig(
    readFileSync(CONFIG_FILE, 'utf8').replace('segment: crash', `segment: ${rig.names.segment}`),
  );
  if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
  config = parsed.config;
  gateway = await createGateway(
    {
      segments: [
        {
          config: () => config,
          configVersion: () => 1,
          configs: createConfigStore(rig.door, rig.names),
          recentEvents: createRecentEvents(rig.door, rig.names),
          appender: rig.appender,
          log: rig.log,
          history: logOnlyHistory(rig.door, rig.names),
          store: rig.store,
          membership: createMembership(rig.door, rig.names),
          copies: createOutboxCopies(rig.door, rig.names),
          audit: createAuditLog(rig.door, rig.names),
          decisions: createAuditLog(rig.door, rig.names),
          deliveries: createAuditLog(rig.door, rig.names),
          runs: () => ({}),
          replyBoxes: createReplyBoxes(rig.door),
          names: rig.names,
          shards: RIG_SHARDS,
        },
      ],
      clock: systemClock,
      random: systemRandom,
      logger: pino({ level: 'silent' }),
      registry: new Registry(),
    },
    { adminKeys: [KEY], writeKeys: [] },
  );
});

afterEach(async () => {
  await gateway.close();
  await rig.close();
});

const startWorker = () =>
  rig.startWorker(
    { idleCheckpointMs: 100 },
    createProfileActor(config, { shards: RIG_SHARDS, configVersion: 1 }),
  );

/** Posts ten events of one visitor, all under their own message ids. */
async function post(number: number) {
  const events = Array.from({ length: 10 }, (_, index) => ({
    messageId: `m-${number}-${index}`,
    name: 'Page Viewed',
    keys: { device: `d-${number}` },
    properties: { page: '/', note: 'x'.repeat(800) },
  }));
  return gateway.inject({ method: 'POST', url: '/v1/events', headers, payload: events });
}

async function countOf(number: number): Promise<unknown> {
  const answer = await gateway.inject({ url: `/v1/profiles/device/d-${number}`, headers });
  if (answer.statusCode === 404) return 0;
  return answer.json<{ attributes: { events: number } }>().attributes.events;
}

interface Status {
  readonly segments: readonly {
    readonly lag: number;
    readonly shards: readonly { readonly owner: string | null }[];
    readonly alarms: readonly { readonly shard: number | null; readonly code: string }[];
  }[];
}

async function status(): Promise<Status['segments'][number]> {
  return (await gateway.inject({ url: '/v1/status', headers })).json<Status>().segments[0]!;
}

describe('a log that is full while no worker runs', () => {
  it('answers 503 LOG_FULL, keeps all that it accepted, and takes the same requests when there is room', async () => {
    const accepted: number[] = [];
    let refused: Awaited<ReturnType<typeof post>> | undefined;
    for (let number = 0; !refused; number++) {
      const answer = await post(number);
      if (answer.statusCode === 202) accepted.push(number);
      else refused = answer;
    }
    expect(accepted.length).toBeGreaterThan(5);
    expect(refused.statusCode).toBe(503);
    expect(refused.json()).toMatchObject({ error: { code: 'LOG_FULL' } });
    expect(refused.headers['retry-after']).toMatch(/^\d+$/);
    const housekeeper = rig.housekeeper({ retentionMs: 60_000 });
    for (let round = 0; round < 3; round++) await housekeeper.round();
    expect((await rig.log.state()).messages).toBe(accepted.length * 10);

    await startWorker();
    const again = Array.from({ length: accepted.length * 3 }, (_, index) => accepted.length + index);
    for (const number of again) {
      await eventually(`request ${number} is accepted`, async () => {
        if ((await post(number)).statusCode === 202) return true;
        await housekeeper.round();
        return false;
      });
      accepted.push(number);
    }
    await eventually('all is applied', async () => (await status()).lag === 0);
    for (const number of accepted) expect(await countOf(number)).toBe(10);
    expect((await status()).alarms).toEqual([]);
    expect(rig.toldOf('deadLettered')).toEqual([]);
  });
});

describe('a shard that does not recognise its log', () => {
  it('shows in the status with its reason, and the other shards go on', async () => {
    const worker = await startWorker();
    for (let number = 0; number < 12; number++) expect((await post(number)).statusCode).toBe(202);
    await eventually('all is applied', async () => (await status()).lag === 0);
    await worker.stop();
    const { record } = await rig.shard(1);
    await rig.rewriteShard(1, { fingerprint: { seq: record.fingerprint!.seq, hash: 'of another message' } });
    await startWorker();
    await eventually('the alarm shows', async () => (await status()).alarms.length > 0);
    expect((await status()).alarms).toEqual([expect.objectContaining({ shard: 1, code: 'LOG_REPLACED' })]);
    for (let number = 100; number < 112; number++) expect((await post(number)).statusCode).toBe(202);
    const { seq } = (await rig.shard(1)).record;
    await eventually('the other shards go on', async () => {
      const counts = await Promise.all(Array.from({ length: 12 }, (_, index) => countOf(100 + index)));
      return counts.filter((count) => count === 10).length >= 6;
    });
    expect((await rig.shard(1)).record.seq).toBe(seq);
    expect((await status()).lag).toBeGreaterThan(0);
  });

  it('shows when messages that it had not applied were purged', async () => {
    const worker = await startWorker();
    for (let number = 0; number < 12; number++) expect((await post(number)).statusCode).toBe(202);
    await eventually('all is applied', async () => (await status()).lag === 0);
    await worker.stop();
    const { lastSequence } = await rig.log.state();
    await rig.rewriteShard(2, { seq: 5, fingerprint: null });
    await rig.purgeStream(rig.names.eventsStream, lastSequence - 3);
    await startWorker();
    await eventually('the alarm shows', async () => (await status()).alarms.some(({ shard }) => shard === 2));
    const { alarms } = await status();
    expect(alarms).toContainEqual(expect.objectContaining({ shard: 2, code: 'LOG_TRUNCATED' }));
  });
});
