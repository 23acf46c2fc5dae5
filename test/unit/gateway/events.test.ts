// POST /v1/events: forms, limits from both sides, outcomes of the log.
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EVENT_LIMITS } from '../../../shared/contract/event.ts';
import type { AppendOutcome } from '../../../shared/ports/event-log.ts';
import {
  ADMIN_KEY,
  errorCode,
  event,
  makeSegment,
  startGateway,
  type TestGateway,
} from './support/harness.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

const json = JSON.stringify;
const ONE = json(event());

/** An event whose compact JSON has exactly this many bytes. */
function eventOfBytes(bytes: number, extra: Record<string, unknown> = {}): string {
  const empty = json(event({ messageId: 'm', properties: { pad: '' }, ...extra }));
  return json(event({ messageId: 'm', properties: { pad: 'x'.repeat(bytes - empty.length) }, ...extra }));
}

describe('forms of a body', () => {
  it.each<[string, string, string | null]>([
    ['one event', ONE, 'application/json'],
    ['an array', `[${ONE},${ONE}]`, 'application/json;charset=UTF-8'],
    ['{ events }', `{"events":[${ONE},${ONE}]}`, 'application/json'],
    ['text/plain', ONE, 'text/plain'],
    ['labelled as a form', ONE, 'application/x-www-form-urlencoded'],
    ['no label', ONE, null],
    ['NDJSON', `${ONE}\n${ONE}\n`, 'application/x-ndjson'],
    ['NDJSON as text', `${ONE}\n${ONE}`, 'text/plain'],
    ['NDJSON as JSON', `${ONE}\n${ONE}`, 'application/json'],
  ])('%s', async (_name, body, type) => {
    const expected = body.split('"name"').length - 1;
    for (const gzip of [false, true]) {
      const answer = await gateway.post(body, {
        type,
        gzip,
        headers: gzip ? { 'content-encoding': 'gzip' } : {},
      });
      expect([answer.statusCode, answer.json()]).toEqual([202, { accepted: expected, rejected: [] }]);
    }
    expect(gateway.segment.appender.requests.map((r) => r.length)).toEqual([expected, expected]);
  });

  it('knows gzip by its first bytes when the header is missing', async () => {
    expect(
      (await gateway.post(ONE, { gzip: true, type: 'application/x-www-form-urlencoded' })).statusCode,
    ).toBe(202);
  });

  it('refuses other encodings, damaged gzip and other content types', async () => {
    expect(errorCode(await gateway.post(ONE, { headers: { 'content-encoding': 'br' } }))).toBe(
      'UNSUPPORTED_MEDIA_TYPE',
    );
    expect(errorCode(await gateway.post(ONE, { headers: { 'content-encoding': 'gzip' } }))).toBe(
      'BAD_REQUEST',
    );
    expect(errorCode(await gateway.post(gzipSync(ONE).subarray(0, -4)))).toBe('BAD_REQUEST');
    expect(errorCode(await gateway.post(ONE, { type: 'image/png' }))).toBe('UNSUPPORTED_MEDIA_TYPE');
    expect(errorCode(await gateway.post(ONE, { type: 'nonsense' }))).toBe('UNSUPPORTED_MEDIA_TYPE');
    expect(gateway.segment.appender.requests).toEqual([]);
  });

  it('answers 400 with the position when nothing can be read', async () => {
    const answer = await gateway.post('{"name": }');
    expect([answer.statusCode, errorCode(answer)]).toEqual([400, 'BAD_REQUEST']);
    expect(answer.json().error.details).toEqual([{ offset: 9, line: 1, column: 10 }]);
    for (const body of ['', '[]', '{"events":[]}', '7'])
      expect((await gateway.post(body)).statusCode).toBe(400);
  });
});

describe('each event on its own', () => {
  it('accepts the sound ones next to broken ones, in one append', async () => {
    const body = json([
      event(),
      'text',
      event({ keys: {} }),
      event({ properties: JSON.parse('['.repeat(80) + ']'.repeat(80)) }),
      event(),
    ]);
    const answer = await gateway.post(body);
    expect(answer.statusCode).toBe(202);
    expect(answer.json()).toMatchObject({
      accepted: 2,
      rejected: [
        { index: 1, code: 'INVALID_EVENT' },
        { index: 2, code: 'NO_KEYS' },
        { index: 3, code: 'INVALID_EVENT' },
      ],
    });
    expect(gateway.segment.appender.requests.map((r) => r.length)).toEqual([2]);
  });

  it('a broken line of NDJSON is one reject', async () => {
    const answer = await gateway.post(`${ONE}\n{"name"\n${ONE}`, { type: 'application/x-ndjson' });
    expect(answer.json()).toMatchObject({ accepted: 2, rejected: [{ index: 1, code: 'INVALID_EVENT' }] });
  });

  it('is an error, not 202, when none is left: their common code, else INVALID_EVENT', async () => {
    const noKeys = await gateway.post(json([event({ keys: {} }), event({ keys: {} })]));
    expect([noKeys.statusCode, errorCode(noKeys)]).toEqual([400, 'NO_KEYS']);
    expect(noKeys.json().error.details).toMatchObject([{ index: 0 }, { index: 1 }]);
    const mixed = await gateway.post(json([event({ keys: {} }), 1]));
    expect([mixed.statusCode, errorCode(mixed)]).toEqual([400, 'INVALID_EVENT']);
    expect(gateway.segment.appender.requests).toEqual([]);
  });

  it('assigns a messageId only where there is none, and each another one', async () => {
    await gateway.post(json([event({ messageId: 'mine' }), event(), event()]));
    const ids = gateway.segment.appender
      .envelopes()
      .map((e) => (e.type === 'event' ? e.event.messageId : ''));
    expect(ids[0]).toBe('mine');
    expect(ids[1]).toMatch(/^[0-9a-f-]{36}$/);
    expect(new Set(ids).size).toBe(3);
  });

  it('writes what it was sent, in any script, to a shard of the segment', async () => {
    const sent = event({
      messageId: 'ü-1',
      keys: { email: 'Анна@пример.рф' },
      properties: { 名前: '𝒜\u0000\u2028' },
    });
    await gateway.post(json(sent));
    const [append] = gateway.segment.appender.requests.flat();
    expect(append).toMatchObject({ source: 'ingest' });
    expect(append!.shard).toBeLessThan(gateway.segment.shards);
    expect(gateway.segment.appender.envelopes()[0]).toMatchObject({
      v: 1,
      type: 'event',
      event: { messageId: 'ü-1', name: sent.name, properties: sent.properties },
    });
  });

  it('keeps events with the same key on one shard', async () => {
    await gateway.post(json([event(), event({ properties: { a: 1 } }), event({ name: 'other' })]));
    expect(new Set(gateway.segment.appender.requests.flat().map(({ shard }) => shard)).size).toBe(1);
  });

  it('lets no __proto__ through to the log', async () => {
    await gateway.post(
      '{"name":"n","keys":{"email":"a@b.c"},"properties":{"__proto__":{"admin":true},"a":1}}',
    );
    expect(Buffer.from(gateway.segment.appender.requests[0]![0]!.payload).toString()).not.toContain(
      '__proto__',
    );
    expect(({} as Record<string, unknown>).admin).toBeUndefined();
  });
});

describe('limits', () => {
  it('500 events, not 501', async () => {
    const some = (n: number) => json(Array(n).fill(event()));
    expect((await gateway.post(some(500))).json()).toEqual({ accepted: 500, rejected: [] });
    const over = await gateway.post(some(501));
    expect([over.statusCode, errorCode(over)]).toEqual([413, 'TOO_MANY_EVENTS']);
    const lines = `${ONE}\n`.repeat(501);
    expect(errorCode(await gateway.post(lines, { type: 'application/x-ndjson' }))).toBe('TOO_MANY_EVENTS');
    expect(gateway.segment.appender.requests).toHaveLength(1);
  });

  it('1 MB an event, not a byte more, whatever the neighbours', async () => {
    const exact = eventOfBytes(EVENT_LIMITS.eventBytes);
    const over = eventOfBytes(EVENT_LIMITS.eventBytes + 1);
    expect((await gateway.post(exact)).statusCode).toBe(202);
    const alone = await gateway.post(over);
    expect([alone.statusCode, errorCode(alone)]).toEqual([413, 'EVENT_TOO_LARGE']);
    const among = await gateway.post(`[${ONE},${over},${exact}]`);
    expect(among.json()).toMatchObject({ accepted: 2, rejected: [{ index: 1, code: 'EVENT_TOO_LARGE' }] });
  });

  it('counts bytes, not characters', async () => {
    const wide = json(event({ properties: { pad: 'é'.repeat(EVENT_LIMITS.eventBytes / 2) } }));
    expect(errorCode(await gateway.post(wide))).toBe('EVENT_TOO_LARGE');
  });

  it('numbers that grow when written out count as written out', async () => {
    const digits = `[${Array(100_000).fill('1E20').join()}]`;
    expect(
      errorCode(await gateway.post(`{"name":"n","keys":{"email":"a@b.c"},"properties":{"p":${digits}}}`)),
    ).toBe('EVENT_TOO_LARGE');
  });

  it('5 MB in all, by header, by bytes read, and after gzip', async () => {
    const padded = (bytes: number) => Buffer.from(ONE.padEnd(bytes));
    expect((await gateway.post(padded(EVENT_LIMITS.requestBytes))).statusCode).toBe(202);
    expect((await gateway.post(padded(EVENT_LIMITS.requestBytes), { gzip: true })).statusCode).toBe(202);
    const tooLarge = [
      await gateway.post(padded(EVENT_LIMITS.requestBytes + 1)),
      await gateway.post(padded(EVENT_LIMITS.requestBytes + 1), {
        headers: { 'transfer-encoding': 'chunked' },
      }),
      await gateway.post(padded(EVENT_LIMITS.requestBytes + 1), { gzip: true }),
      await gateway.post(gzipSync(Buffer.alloc(200 * 1024 * 1024, 0x20)), {
        headers: { 'content-encoding': 'gzip' },
      }),
    ];
    for (const answer of tooLarge)
      expect([answer.statusCode, errorCode(answer)]).toEqual([413, 'REQUEST_TOO_LARGE']);
    expect(await gateway.metric('stitchwork_gateway_request_in_flight_bytes')).toBe(0);
  });

  it('does not fall over nesting of any depth', async () => {
    const deep = '['.repeat(500_000) + ']'.repeat(500_000);
    const answer = await gateway.post(
      `[${ONE},{"name":"n","keys":{"email":"a@b.c"},"properties":{"p":${deep}}}]`,
    );
    expect(answer.json()).toMatchObject({ accepted: 1, rejected: [{ index: 1, code: 'INVALID_EVENT' }] });
  });
});

describe('outcomes of the log', () => {
  const post = async (outcome: AppendOutcome) => {
    gateway.segment.appender.answers.push(outcome);
    return gateway.post(json([event({ messageId: 'mine' }), event()]));
  };

  it('full: 503 LOG_FULL with Retry-After in whole seconds', async () => {
    const answer = await post({ kind: 'full' });
    expect([answer.statusCode, errorCode(answer), answer.headers['retry-after']]).toEqual([
      503,
      'LOG_FULL',
      '10',
    ]);
  });

  it('unavailable: 503 LOG_UNAVAILABLE', async () => {
    const answer = await post({ kind: 'unavailable', reason: 'nats://10.0.0.7 down' });
    expect([answer.statusCode, errorCode(answer), answer.headers['retry-after']]).toEqual([
      503,
      'LOG_UNAVAILABLE',
      '2',
    ]);
    expect(answer.body).not.toContain('10.0.0.7');
  });

  it.each([
    [1, '1'],
    [1000, '1'],
    [1001, '2'],
  ])('overloaded for %i ms: 429 with Retry-After %s', async (retryAfterMs, seconds) => {
    const answer = await post({ kind: 'overloaded', retryAfterMs });
    expect([answer.statusCode, errorCode(answer), answer.headers['retry-after']]).toEqual([
      429,
      'OVERLOADED',
      seconds,
    ]);
  });

  it('unknown: 503, and the message ids that were assigned, so that the same events can be sent again', async () => {
    const answer = await post({ kind: 'unknown', reason: 'deadline' });
    expect([answer.statusCode, errorCode(answer)]).toEqual([503, 'LOG_UNAVAILABLE']);
    const ids = gateway.segment.appender
      .envelopes()
      .map((e) => (e.type === 'event' ? e.event.messageId : ''));
    expect(answer.json().error.details).toEqual([{ index: 1, messageId: ids[1] }]);
    expect(answer.json().error.message).toContain('same message ids');
  });

  it('answers only after the log has stored', async () => {
    let store: (outcome: AppendOutcome) => void = () => {};
    gateway.segment.appender.answers.push(new Promise((resolve) => (store = resolve)));
    const appended = gateway.segment.appender.nextAppend();
    let answered = false;
    const answer = gateway.post(ONE).then((a) => {
      answered = true;
      return a;
    });
    await appended;
    await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    store({ kind: 'stored' });
    expect((await answer).statusCode).toBe(202);
  });

  it('counts what it did', async () => {
    await post({ kind: 'full' });
    await gateway.post(json([event(), event({ keys: {} })]));
    expect(await gateway.metric('stitchwork_gateway_events_accepted_total{segment="shop"}')).toBe(1);
    expect(
      await gateway.metric('stitchwork_gateway_events_rejected_total{segment="shop",code="NO_KEYS"}'),
    ).toBe(1);
    expect(
      await gateway.metric('stitchwork_gateway_append_seconds_count{segment="shop",outcome="full"}'),
    ).toBe(1);
    const requests = 'stitchwork_gateway_requests_total{route="/v1/events",method="POST"';
    expect(await gateway.metric(`${requests},status="503"}`)).toBe(1);
    expect(await gateway.metric(`${requests},status="202"}`)).toBe(1);
  });
});

describe('admission', () => {
  it('refuses with 429 what would not fit beside the bodies in flight, and takes it once they are gone', async () => {
    await gateway[Symbol.asyncDispose]();
    gateway = await startGateway({ bytesInFlightMax: 40_000 });
    const body = ONE.padEnd(20_000);
    let store: (outcome: AppendOutcome) => void = () => {};
    gateway.segment.appender.answers.push(new Promise((resolve) => (store = resolve)));
    const appended = gateway.segment.appender.nextAppend();
    const first = gateway.post(body);
    await appended;
    expect(await gateway.metric('stitchwork_gateway_request_in_flight_bytes')).toBeGreaterThan(20_000);
    const second = await gateway.post(body);
    expect([second.statusCode, errorCode(second), second.headers['retry-after']]).toEqual([
      429,
      'OVERLOADED',
      '1',
    ]);
    store({ kind: 'stored' });
    expect((await first).statusCode).toBe(202);
    expect((await gateway.post(body)).statusCode).toBe(202);
    expect(await gateway.metric('stitchwork_gateway_request_in_flight_bytes')).toBe(0);
  });

  it('bounds many small requests as well, and what gzip unpacks to', async () => {
    await gateway[Symbol.asyncDispose]();
    gateway = await startGateway({ bytesInFlightMax: 100_000 });
    expect(errorCode(await gateway.post(ONE.padEnd(200_000), { gzip: true }))).toBe('OVERLOADED');
    gateway.segment.appender.answers.push(
      ...Array.from({ length: 60 }, () => new Promise<AppendOutcome>(() => {})),
    );
    const codes = await Promise.all(
      Array.from({ length: 40 }, () => Promise.race([gateway.post(ONE).then((a) => a.statusCode), tick()])),
    );
    expect(codes.filter((code) => code === 429).length).toBeGreaterThan(10);
    expect(codes.filter((code) => code === undefined).length).toBeGreaterThan(10);
  });

  async function tick(): Promise<undefined> {
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
    return undefined;
  }
});

describe('segments and parameters', () => {
  it('takes the only one, or the one named', async () => {
    expect((await gateway.post(ONE, { query: '?segment=shop' })).statusCode).toBe(202);
    const answer = await gateway.post(ONE, { query: '?segment=shoe' });
    expect([answer.statusCode, errorCode(answer)]).toEqual([404, 'UNKNOWN_SEGMENT']);
    expect(answer.body).toContain('shop');
  });

  it('needs a name among several', async () => {
    await gateway[Symbol.asyncDispose]();
    gateway = await startGateway({}, [makeSegment('shop'), makeSegment('club')]);
    const answer = await gateway.post(ONE);
    expect([answer.statusCode, errorCode(answer)]).toEqual([400, 'BAD_REQUEST']);
    expect(answer.json().error.message).toContain('shop, club');
    expect((await gateway.post(ONE, { query: '?segment=club' })).statusCode).toBe(202);
    expect(gateway.segments.map((s) => s.appender.requests.length)).toEqual([0, 1]);
  });

  it.each(['?wait=applied', '?segment=shop&segment=shop', '?Segment=shop'])(
    'refuses %s by name',
    async (query) => {
      const answer = await gateway.post(ONE, { query });
      expect([answer.statusCode, errorCode(answer)]).toEqual([400, 'BAD_REQUEST']);
      expect(answer.json().error.message).toMatch(/wait|segment/i);
    },
  );

  it('takes admin keys too', async () => {
    expect((await gateway.post(ONE, { key: ADMIN_KEY })).statusCode).toBe(202);
  });
});
