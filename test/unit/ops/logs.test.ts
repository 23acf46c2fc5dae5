// Log lines of the worker and the gateway: which events leave one, at which level, and the ids they carry.
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createGateway } from '../../../gateway/server.ts';
import { ActivityMeter } from '../../../infra/worker-activity.ts';
import { createWorkerMetrics, createWorkerTelemetry } from '../../../infra/worker-telemetry.ts';
import type { ActorMessage } from '../../../shared/contract/actor.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import { seededRandom } from '../../../shared/kernel/random.ts';
import { event, makeSegment, WRITE_KEY } from '../gateway/support/harness.ts';

type Line = Readonly<Record<string, unknown>>;

function capture(level: string) {
  const lines: Line[] = [];
  const log = pino({ level }, { write: (text: string) => void lines.push(JSON.parse(text) as Line) });
  return { log, lines, of: (msg: string) => lines.filter((line) => line.msg === msg) };
}

const LEVEL = { trace: 10, debug: 20, info: 30, warn: 40, error: 50 };

function envelope(messageId: string): Uint8Array {
  const keys = { email: 'ann@example.com' };
  return Buffer.from(
    JSON.stringify({ v: 1, type: 'event', event: { messageId, name: 'x', keys, properties: {} } }),
  );
}

function message(shard: number, messageId: string): ActorMessage {
  return { shard, source: 'ingest', sequence: 1, nowMs: 1, payload: envelope(messageId), logId: 'log' };
}

describe('of a worker', () => {
  function worker(level: string) {
    const captured = capture(level);
    const metrics = createWorkerMetrics(new Registry(), () => []);
    const telemetry = createWorkerTelemetry(metrics, {
      segment: 'shop',
      log: captured.log.child({ segment: 'shop' }),
      activity: new ActivityMeter(systemClock),
      clock: systemClock,
    });
    return { ...captured, telemetry };
  }
  const commit = {
    kind: 'batch' as const,
    commitId: 'w1.c1',
    messages: 3,
    writes: 5,
    bytes: 900,
    durationMs: 2.5,
    shards: 2,
    applied: [message(7, 'm1'), message(9, 'm2'), message(7, 'm3')],
    records: [],
  };

  it('a commit names its shards and message ids, at trace', () => {
    const { telemetry, of } = worker('trace');
    telemetry.committed(commit);
    expect(of('committed')).toMatchObject([
      {
        level: LEVEL.trace,
        segment: 'shop',
        commitId: 'w1.c1',
        shards: [7, 9],
        messageIds: ['m1', 'm2', 'm3'],
      },
    ]);
  });

  it('a dead letter names segment, shard, message and commit, and shows no payload', () => {
    const { telemetry, of, lines } = worker('warn');
    const letter = { shard: 7, sequence: 40, code: 'POISON_MESSAGE', message: 'why', commitId: 'w1.c2' };
    telemetry.deadLettered({ ...letter, payload: envelope('m9') });
    telemetry.deadLettered({ ...letter, payload: Buffer.from('garbage') });
    expect(of('dead letter')).toMatchObject([
      { level: LEVEL.warn, segment: 'shop', messageId: 'm9', ...letter },
      letter,
    ]);
    expect(JSON.stringify(lines)).not.toContain('ann@example.com');
    expect(JSON.stringify(lines)).not.toContain('payload');
  });

  it('a conflict names its record without the value of a key, at debug', () => {
    const { telemetry, of } = worker('debug');
    telemetry.conflict({ key: recordKeys.link('email', 'ann@example.com'), kind: 'data', commitId: 'w1.c3' });
    expect(of('conflict')).toMatchObject([
      {
        level: LEVEL.debug,
        segment: 'shop',
        kind: 'data',
        commitId: 'w1.c3',
        record: expect.stringMatching(/^k\.email\.#.{4}$/),
      },
    ]);
  });

  it('a fence names the shard, an unknown outcome its commit from the first doubt to the end', () => {
    const { telemetry, of } = worker('info');
    telemetry.fenced(12);
    telemetry.unknownOutcome(0, 'w1.c4');
    telemetry.resolved('committed', 'w1.c4');
    telemetry.refused('STORE_FULL', 'no room', 'w1.c5');
    telemetry.halted(3, 'LOG_TRUNCATED', 'shorter');
    expect(of('shard lost to another owner')).toMatchObject([
      { level: LEVEL.warn, segment: 'shop', shard: 12 },
    ]);
    expect(of('commit without an answer')).toMatchObject([{ level: LEVEL.warn, commitId: 'w1.c4' }]);
    expect(of('unknown outcome resolved')).toMatchObject([{ commitId: 'w1.c4', outcome: 'committed' }]);
    expect(of('commit refused')).toMatchObject([
      { level: LEVEL.error, commitId: 'w1.c5', code: 'STORE_FULL' },
    ]);
    expect(of('shard stopped with an alarm')).toMatchObject([{ level: LEVEL.error, shard: 3 }]);
  });

  it('commits and conflicts are silent at info', () => {
    const { telemetry, lines } = worker('info');
    telemetry.committed(commit);
    telemetry.conflict({ key: 'p.1', kind: 'data', commitId: 'c' });
    expect(lines).toEqual([]);
  });
});

describe('of a gateway', () => {
  async function send(level: string, body: unknown) {
    const captured = capture(level);
    const app = await createGateway(
      {
        segments: [makeSegment()],
        clock: systemClock,
        random: seededRandom(1),
        logger: captured.log,
        registry: new Registry(),
      },
      { writeKeys: [WRITE_KEY], adminKeys: [] },
    );
    const headers = { authorization: `Bearer ${WRITE_KEY}`, 'content-type': 'application/json' };
    const response = await app.inject({
      method: 'POST',
      url: '/v1/events',
      headers,
      payload: JSON.stringify(body),
    });
    await app.close();
    return { ...captured, requestId: response.headers['x-request-id'] };
  }

  it('an append names the shards and message ids, a rejection its reason and id, under the id of the request', async () => {
    const events = [
      event({ messageId: 'm1' }),
      event({ messageId: 'm2', keys: {} }),
      event({ messageId: 'm3', keys: { emial: 'x' } }),
      'nonsense',
    ];
    const { of, requestId } = await send('debug', events);
    expect(of('event rejected')).toMatchObject([
      { level: LEVEL.debug, segment: 'shop', reqId: requestId, index: 1, code: 'NO_KEYS', messageId: 'm2' },
      { index: 2, code: 'UNKNOWN_KEY_NAME', messageId: 'm3' },
      { index: 3, code: 'INVALID_EVENT' },
    ]);
    expect(of('events appended')).toMatchObject([
      {
        segment: 'shop',
        reqId: requestId,
        outcome: 'stored',
        messageIds: ['m1'],
        shards: [expect.any(Number)],
      },
    ]);
  });

  it('a refused request names its code and route', async () => {
    const { of } = await send('debug', [event({ keys: {} })]);
    expect(of('request refused')).toMatchObject([{ route: '/v1/events', status: 400, code: 'NO_KEYS' }]);
  });

  it('says nothing of single requests at info', async () => {
    const { lines } = await send('info', [event({}), event({ keys: {} })]);
    expect(lines).toEqual([]);
  });
});
