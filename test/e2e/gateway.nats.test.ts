// The gateway on a real nats-server: a full log and a killed server accept all of a request or nothing, and what was
// answered with 202 is in the log.
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import pino from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGateway } from '../../gateway/server.ts';
import { systemClock } from '../../shared/kernel/clock.ts';
import { systemRandom } from '../../shared/kernel/random.ts';
import { createAuditLog } from '../../shared/nats/audit-log.ts';
import { createConfigStore } from '../../shared/nats/config-store.ts';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { createMembership } from '../../shared/nats/membership.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecentEvents } from '../../shared/nats/recent-events.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { createReplyBoxes } from '../../shared/nats/replies.ts';
import { readStream } from '../../shared/nats/stream-reader.ts';
import { logOnlyHistory } from '../support/log-only-history.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment, type TestSegment } from '../support/segment.ts';
import { testConfig } from '../unit/gateway/support/harness.ts';

const KEY = 'admin-key-1';
const SHARDS = 4;

let server: TestServer;
let segment: TestSegment | undefined;
let app: FastifyInstance | undefined;

beforeEach(async () => {
  server = await startTestServer();
});

afterEach(async () => {
  await app?.close();
  await segment?.close();
  await server.stop();
});

async function start(eventsBytesMax: number): Promise<void> {
  segment = await makeSegment(server.url, { shards: SHARDS, eventsBytesMax });
  const { door, names } = segment;
  const config = testConfig();
  app = await createGateway(
    {
      segments: [
        {
          config: () => config,
          configVersion: () => 1,
          configs: createConfigStore(door, names),
          recentEvents: createRecentEvents(door, names),
          appender: createEventLogAppender(door, names, { deadlineMs: 1_500 }),
          log: createEventLogReader(door, names),
          history: logOnlyHistory(door, names),
          store: createRecordStore(door, names),
          membership: createMembership(door, names, {}),
          copies: createOutboxCopies(door, names),
          audit: createAuditLog(door, names),
          decisions: createAuditLog(door, names),
          deliveries: createAuditLog(door, names),
          runs: () => ({}),
          replyBoxes: createReplyBoxes(door),
          names,
          shards: SHARDS,
        },
      ],
      clock: systemClock,
      random: systemRandom,
      logger: pino({ level: 'silent' }),
      registry: new Registry(),
    },
    { adminKeys: [KEY], writeKeys: [], readinessReuseMs: 0 },
  );
}

/** One request of `count` events with message ids `<request>.<n>` and about a kilobyte each. */
function post(request: string, count: number): Promise<LightMyRequestResponse> {
  const events = Array.from({ length: count }, (_, n) => ({
    messageId: `${request}.${n}`,
    name: 'Product Viewed',
    keys: { anonymous_id: `device-${n}` },
    properties: { pad: 'x'.repeat(1_000) },
  }));
  return app!.inject({
    method: 'POST',
    url: '/v1/events',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    payload: JSON.stringify({ events }),
  });
}

/** Message ids in the log, with how often each stands there. */
async function storedIds(): Promise<Map<string, number>> {
  const ids = new Map<string, number>();
  for await (const { payload } of readStream(segment!.door, segment!.names.eventsStream, {})) {
    const { event } = JSON.parse(Buffer.from(payload).toString('utf8')) as { event: { messageId: string } };
    ids.set(event.messageId, (ids.get(event.messageId) ?? 0) + 1);
  }
  return ids;
}

function idsOf(requests: readonly string[], count: number): string[] {
  return requests.flatMap((request) => Array.from({ length: count }, (_, n) => `${request}.${n}`)).sort();
}

describe('gateway on nats-server', () => {
  it('a full log is 503 LOG_FULL, and the log holds exactly what was accepted', async () => {
    await start(200_000);
    const accepted: string[] = [];
    const refused: LightMyRequestResponse[] = [];
    for (let round = 0; refused.length < 6; round++) {
      const requests = [0, 1, 2].map((n) => `r${round}-${n}`);
      const answers = await Promise.all(requests.map((request) => post(request, 10)));
      answers.forEach((answer, n) => {
        if (answer.statusCode === 202) accepted.push(requests[n]!);
        else refused.push(answer);
      });
    }
    for (const answer of refused) {
      expect([answer.statusCode, answer.json().error.code]).toEqual([503, 'LOG_FULL']);
      expect(answer.headers['retry-after']).toMatch(/^[1-9]\d*$/);
    }
    expect(accepted.length).toBeGreaterThan(5);
    const stored = await storedIds();
    expect([...stored.keys()].sort()).toEqual(idsOf(accepted, 10));
    expect(Math.max(...stored.values())).toBe(1);
    const status = await app!.inject({ url: '/v1/status', headers: { authorization: `Bearer ${KEY}` } });
    expect(status.json().segments[0].lag).toBe(accepted.length * 10);
  });

  it('a killed server is 503, and the same message ids sent again are stored whole', async () => {
    await start(50_000_000);
    expect((await post('warm', 5)).statusCode).toBe(202);
    const requests = Array.from({ length: 40 }, (_, n) => `k${n}`);
    const sending = requests.map((request) => post(request, 5));
    await server.kill();
    const during = await Promise.all(sending);
    const down = await post('down', 5);
    expect([down.statusCode, down.json().error.code]).toEqual([503, 'LOG_UNAVAILABLE']);
    const ready = await app!.inject({ url: '/health/ready' });
    expect([ready.statusCode, ready.json().error.code]).toEqual([503, 'NOT_READY']);
    for (const answer of [...during, down].filter((a) => a.statusCode !== 202)) {
      expect([answer.statusCode, answer.headers['retry-after']]).toEqual([
        503,
        expect.stringMatching(/^[1-9]\d*$/),
      ]);
    }
    await server.restart();
    const again = [...requests.filter((_, n) => during[n]!.statusCode !== 202), 'down'];
    for (const request of again) await untilAccepted(request);
    const stored = await storedIds();
    expect([...stored.keys()].sort()).toEqual(idsOf(['warm', ...requests, 'down'], 5));
    const firstTry = requests.filter((_, n) => during[n]!.statusCode === 202);
    for (const id of idsOf(['warm', 'down', ...firstTry], 5)) expect([id, stored.get(id)]).toEqual([id, 1]);
  });
});

/** A client's retry: the answer says when, and the reconnection of the gateway says when it can succeed. */
async function untilAccepted(request: string): Promise<void> {
  for (;;) {
    const answer = await post(request, 5);
    if (answer.statusCode === 202) return;
    expect(answer.statusCode).toBe(503);
    if (!segment!.door.connected) {
      await new Promise<void>((resolve) => {
        const off = segment!.door.onReconnect(() => {
          off();
          resolve();
        });
      });
    }
  }
}
