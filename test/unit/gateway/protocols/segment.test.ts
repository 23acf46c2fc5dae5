// Segment's tracking API: recorded requests of its SDKs, every address, answers, CORS, settings.
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseSegmentConfig } from '../../../../shared/contract/config/parse.ts';
import type { AppendOutcome } from '../../../../shared/ports/event-log.ts';
import { errorCode, makeSegment, startGateway, type TestGateway, WRITE_KEY } from '../support/harness.ts';
import { clockAt, recorded, resend, summary } from './recorded.ts';

const json = JSON.stringify;
const NOW = '2026-11-22T23:20:05.000Z';
const TRACK = { event: 'Product Viewed', userId: 'u1', messageId: 'm1', properties: { sku: 'yoga' } };

let gateway: TestGateway;
const start = (keys: readonly string[] = [WRITE_KEY], segments = [makeSegment()]) =>
  startGateway({ writeKeys: keys }, segments, clockAt(NOW));
beforeEach(async () => {
  gateway = await start([WRITE_KEY, 'WK_WEB', 'WK_TEST', 'WK_RS']);
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

const envelopes = () => gateway.segment.appender.envelopes();
const send = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  gateway.app.inject({
    method: 'POST',
    url: path,
    headers: {
      authorization: `Basic ${btoa(`${WRITE_KEY}:`)}`,
      'content-type': 'application/json',
      ...headers,
    },
    payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : json(body),
  });
const events = () => envelopes().flatMap((e) => (e.type === 'event' ? [e.event] : []));

describe('requests as the SDKs send them', () => {
  it('@segment/analytics-node', async () => {
    for (const request of recorded('segment-analytics-node', 'all_calls_200')) {
      const answer = await resend(gateway, request);
      expect([answer.statusCode, answer.json()]).toEqual([200, { success: true }]);
    }
    expect(summary(envelopes())).toEqual([
      'identify customer_id=u1 email=a@x.io',
      'Product Viewed customer_id=u1 anonymous_id=anon-1',
      'page anonymous_id=anon-1',
      'screen anonymous_id=anon-1',
      'group customer_id=u1',
      'link customer_id=u1 anonymous_id=anon-1',
    ]);
    const [identify, track, page, screen, group] = events();
    expect(identify!.messageId).toBe('node-next-1795389466509-0cf647ba-e68a-4e89-a479-d421e12019ba');
    expect(identify!.properties).toMatchObject({ email: 'a@x.io', plan: 'gold' });
    expect(track!.properties).toMatchObject({ sku: 'yoga', price: 12.5, context: { ip: '1.2.3.4' } });
    expect(page!.properties).toMatchObject({ url: 'https://x.io/', name: 'Home', category: 'Docs' });
    expect(screen!.properties).toMatchObject({ name: 'Main' });
    expect(group!.properties).toMatchObject({ name: 'ACME', groupId: 'g1' });
    expect(events().map(({ table }) => table)).toEqual(['identify', 'track', 'page', 'screen', 'group']);
  });

  it('@segment/analytics-next in a browser: preflights, settings, one call a request', async () => {
    for (const request of recorded('segment-analytics-next', 'standard_cross_origin')) {
      const answer = await resend(gateway, request);
      expect(answer.statusCode, `${request.method} ${request.path}`).toBe(
        request.method === 'OPTIONS' ? 204 : 200,
      );
      expect(answer.headers['access-control-allow-origin']).toBe(request.headers.origin);
    }
    const visitor = 'anonymous_id=b53c3070-0f3a-4bbf-831f-70656bd63a72';
    expect(summary(envelopes())).toEqual([
      `page ${visitor}`,
      `identify customer_id=u1 ${visitor} email=a@x.io`,
      `Product Viewed customer_id=u1 ${visitor}`,
      `group customer_id=u1 ${visitor}`,
      `screen customer_id=u1 ${visitor}`,
      // alias('u2', 'u1') leaves this SDK as u1, u1: what is new in it is that the visitor is u1.
      `link customer_id=u1 ${visitor}`,
    ]);
    expect(events()[0]!.timestampMs).toBe(Date.parse('2026-11-22T23:20:04.537Z'));
  });

  it('@segment/analytics-next in batches', async () => {
    for (const request of recorded('segment-analytics-next', 'batching'))
      expect((await resend(gateway, request)).statusCode).toBeLessThan(300);
    expect(summary(envelopes()).map((line) => line.split(' ')[0])).toEqual([
      'page',
      'identify',
      'Product',
      'group',
      'screen',
      'link',
    ]);
  });

  it.each(['gzip_true', 'gzip_false'])('@rudderstack/rudder-sdk-node, %s', async (form) => {
    for (const request of recorded('rudder-sdk-node', `all_calls_200_${form}`))
      expect((await resend(gateway, request)).statusCode).toBe(200);
    const lines = summary(envelopes());
    expect(lines[0]).toBe('identify customer_id=u1 email=a@x.io');
    expect(lines[1]).toBe('Product Viewed customer_id=u1 anonymous_id=anon-1');
    expect(lines.at(-1)).toBe('link customer_id=u1 anonymous_id=anon-1');
  });

  it.each(['standard', 'batch'])(
    '@rudderstack/analytics-js, %s: traits stand in the context',
    async (form) => {
      for (const request of recorded('rudder-analytics-js', form)) {
        if (request.path.startsWith('/sourceConfig')) continue;
        expect((await resend(gateway, request)).statusCode).toBeLessThan(300);
      }
      const identify = events().find(({ name }) => name === 'identify')!;
      expect(identify.keys).toMatchObject({ customer_id: 'u1', email: 'a@x.io' });
      expect(identify.properties).toMatchObject({ email: 'a@x.io' });
      expect(events().find(({ name }) => name === 'page')!.keys).toEqual({
        anonymous_id: expect.any(String),
      });
    },
  );
});

describe('addresses', () => {
  it.each([
    ['track', 't'],
    ['identify', 'i'],
    ['page', 'p'],
    ['screen', 's'],
    ['group', 'g'],
    ['alias', 'a'],
  ])('/v1/%s and /v1/%s say what a call is', async (long, short) => {
    const call = { userId: 'u1', previousId: 'd1', event: 'track' };
    for (const path of [long, short]) expect((await send(`/v1/${path}`, call)).statusCode).toBe(200);
    const kind = long === 'alias' ? 'link' : long;
    expect(summary(envelopes()).map((line) => line.split(' ')[0])).toEqual([kind, kind]);
  });

  it('what the call itself says counts more', async () => {
    await send('/v1/track', { type: 'page', anonymousId: 'd1' });
    expect(summary(envelopes())).toEqual(['page anonymous_id=d1']);
  });

  it.each(['/v1/batch', '/v1/b', '/v1/import', '/v1/track'])('%s takes many', async (path) => {
    const batch = [
      { type: 'track', event: 'A', userId: 'u1' },
      { type: 'track', event: 'B', userId: 'u1' },
    ];
    expect((await send(path, { batch, sentAt: NOW })).json()).toEqual({ success: true });
    expect(events().map(({ name }) => name)).toEqual(['A', 'B']);
  });

  it('redirect nowhere', async () => {
    for (const path of ['/v1/t/', '/v1//batch', '/V1/batch'])
      expect((await send(path, TRACK)).statusCode).toBe(404);
  });
});

describe('keys', () => {
  const bare = (url: string, body: unknown, headers: Record<string, string> = {}) =>
    gateway.app.inject({ method: 'POST', url, headers, payload: json(body) });

  it.each([
    ['Basic, key as user', '/v1/t', TRACK, { authorization: `Basic ${btoa(`${WRITE_KEY}:`)}` }],
    ['Bearer', '/v1/t', TRACK, { authorization: `Bearer ${WRITE_KEY}` }],
    ['the body', '/v1/t', { ...TRACK, writeKey: WRITE_KEY }, {}],
    ['the body of a batch', '/v1/b', { batch: [{ type: 'track', ...TRACK }], writeKey: WRITE_KEY }, {}],
    ['the query, as for a beacon', `/v1/t?writeKey=${WRITE_KEY}`, TRACK, {}],
  ])('are taken from %s', async (_, url, body, headers) => {
    expect((await bare(url, body, headers as Record<string, string>)).statusCode).toBe(200);
    expect(envelopes()).toHaveLength(1);
  });

  it.each([
    ['no key', TRACK, {}],
    ['an unknown one in the header', { ...TRACK, writeKey: WRITE_KEY }, { authorization: 'Bearer nobody' }],
    ['an unknown one in the body', { ...TRACK, writeKey: 'nobody' }, {}],
    ['one that is no text', { ...TRACK, writeKey: { a: 1 } }, {}],
  ])('401 for %s, which CORS does not hide', async (_, body, headers) => {
    const answer = await bare('/v1/t', body, { ...headers, origin: 'https://shop.example' } as Record<
      string,
      string
    >);
    expect([answer.statusCode, errorCode(answer)]).toEqual([401, 'UNAUTHORIZED']);
    expect(answer.headers['access-control-allow-origin']).toBe('https://shop.example');
    expect(envelopes()).toEqual([]);
  });

  it('name the segment where there are several', async () => {
    await gateway[Symbol.asyncDispose]();
    gateway = await start([WRITE_KEY, 'odd@toys'], [makeSegment('shop'), makeSegment('toys')]);
    const via = (key: string, query = '') => bare(`/v1/t${query}`, { ...TRACK, writeKey: key });
    expect((await via(`${WRITE_KEY}@toys`)).statusCode).toBe(200);
    expect(gateway.segments.map(({ appender }) => appender.requests.length)).toEqual([0, 1]);
    expect((await via(WRITE_KEY, '?segment=shop')).statusCode).toBe(200);
    expect(errorCode(await via(WRITE_KEY))).toBe('BAD_REQUEST');
    expect(errorCode(await via(`${WRITE_KEY}@sohp`))).toBe('UNKNOWN_SEGMENT');
    // A key that has such a form itself names nothing.
    expect(errorCode(await via('odd@toys'))).toBe('BAD_REQUEST');
    expect((await via('odd@toys@shop')).statusCode).toBe(200);
    expect(gateway.segments.map(({ appender }) => appender.requests.length)).toEqual([2, 1]);
  });
});

describe('bodies', () => {
  it.each(['text/plain', 'application/json;charset=UTF-8', 'application/x-www-form-urlencoded'])(
    'labelled %j',
    async (type) => {
      expect((await send('/v1/t', TRACK, { 'content-type': type })).statusCode).toBe(200);
    },
  );

  it('gzipped, with and without saying so', async () => {
    const packed = gzipSync(json(TRACK));
    expect((await send('/v1/t', packed, { 'content-encoding': 'gzip' })).statusCode).toBe(200);
    expect((await send('/v1/t', packed)).statusCode).toBe(200);
  });

  it('too large once unpacked', async () => {
    const bomb = gzipSync(Buffer.alloc(6 * 1024 * 1024, 'x'));
    expect(errorCode(await send('/v1/t', bomb))).toBe('REQUEST_TOO_LARGE');
  });

  it.each([
    ['no JSON', '{"event":', 'BAD_REQUEST'],
    ['nothing', '', 'BAD_REQUEST'],
    ['a number', '5', 'BAD_REQUEST'],
    ['a batch that is no list', '{"batch":{}}', 'INVALID_EVENT'],
    ['no name', '{"userId":"u1"}', 'INVALID_EVENT'],
    ['no id', '{"event":"A"}', 'NO_KEYS'],
    ['empty ids', '{"event":"A","userId":"","anonymousId":null}', 'NO_KEYS'],
    ['an id that is a list', '{"event":"A","userId":["u1"]}', 'INVALID_EVENT'],
    ['an unknown kind', '{"type":"tarck","userId":"u1"}', 'INVALID_EVENT'],
    ['properties that are a list', '{"event":"A","userId":"u1","properties":[1]}', 'INVALID_EVENT'],
    ['an alias without the former id', '{"type":"alias","userId":"u1"}', 'INVALID_EVENT'],
    ['an alias of a list', '{"type":"alias","userId":"u1","previousId":[1]}', 'INVALID_EVENT'],
    [
      'an alias with a long id',
      json({ type: 'alias', userId: 'u1', previousId: 'x'.repeat(1025) }),
      'INVALID_EVENT',
    ],
    [
      'an alias with a bad message id',
      '{"type":"alias","userId":"a","previousId":"b","messageId":5}',
      'INVALID_EVENT',
    ],
  ])('with %s are refused', async (_, body, code) => {
    const answer = await send('/v1/t', body);
    expect([answer.statusCode, errorCode(answer)]).toEqual([400, code]);
    expect(envelopes()).toEqual([]);
  });

  it('of which only some calls are sound: these are stored, the others told by their place', async () => {
    const batch = [
      { type: 'track', userId: 'u1' },
      { type: 'alias', userId: 'u1', previousId: 'd1', messageId: 'a1' },
      { type: 'track', event: 'A', userId: 'u1', messageId: 'm1' },
      'nonsense',
      { type: 'track', event: 'B', userId: 'u1', messageId: 7 },
    ];
    const answer = await send('/v1/batch', { batch });
    expect(answer.statusCode).toBe(200);
    const { success, errors } = answer.json() as {
      success: boolean;
      errors: { index: number; code: string }[];
    };
    expect(success).toBe(true);
    expect(errors.map(({ index }) => index).sort()).toEqual([0, 3, 4]);
    expect(summary(envelopes())).toEqual(['A customer_id=u1', 'link customer_id=u1 anonymous_id=d1']);
    expect(
      await gateway.metric('stitchwork_gateway_events_rejected_total{segment="shop",code="INVALID_EVENT"}'),
    ).toBe(3);
  });

  it('an empty batch is no failure', async () => {
    expect((await send('/v1/batch', { batch: [] })).json()).toEqual({ success: true });
  });

  it('more than one append takes goes in several; beyond the limit the request is refused', async () => {
    const batch = (count: number) => ({
      batch: Array.from({ length: count }, (_, i) => ({
        type: 'track',
        event: `E${i}`,
        userId: 'u1',
        messageId: `m${i}`,
      })),
    });
    expect((await send('/v1/batch', batch(1201))).statusCode).toBe(200);
    expect(gateway.segment.appender.requests.map(({ length }) => length)).toEqual([500, 500, 201]);
    expect(events().map(({ name }) => name)).toEqual(Array.from({ length: 1201 }, (_, i) => `E${i}`));
    expect(errorCode(await send('/v1/batch', batch(5001)))).toBe('TOO_MANY_EVENTS');
  });
});

describe('what comes of a call', () => {
  it('the message id stays, so that a retry is the same event; without one it is assigned', async () => {
    await send('/v1/t', TRACK);
    await send('/v1/t', { ...TRACK, messageId: undefined });
    expect(events()[0]!.messageId).toBe('m1');
    expect(events()[1]!.messageId).toMatch(/^[\da-f-]{36}$/);
  });

  it('a link has the message id and the time of its alias', async () => {
    await send('/v1/a', {
      userId: 'u1',
      previousId: 'd1',
      messageId: 'a1',
      timestamp: '2026-11-22T23:00:00Z',
    });
    expect(envelopes()).toEqual([
      {
        v: 1,
        type: 'link',
        id: 'a1',
        keys: [
          { name: 'customer_id', value: 'u1' },
          { name: 'anonymous_id', value: 'd1' },
        ],
        atMs: Date.parse('2026-11-22T23:00:00Z'),
        by: 'alias',
        config: 'shop@1',
      },
    ]);
  });

  it.each([
    ['the call', { sentAt: '2026-11-23T23:20:05Z' }, {}],
    ['its batch', {}, { sentAt: '2026-11-23T23:20:05Z' }],
    ['the call, before its batch', { sentAt: '2026-11-23T23:20:05Z' }, { sentAt: NOW }],
  ])('a clock that is a day ahead is set right by the sentAt of %s', async (_, own, around) => {
    const call = { ...TRACK, type: 'track', timestamp: '2026-11-23T23:19:05Z', ...own };
    await send('/v1/b', { batch: [call, { ...call, timestamp: undefined }], ...around });
    await send('/v1/b', {
      batch: [{ ...call, originalTimestamp: call.timestamp, timestamp: undefined }],
      ...around,
    });
    const minuteAgo = Date.parse(NOW) - 60_000;
    expect(events().map(({ timestampMs }) => timestampMs)).toEqual([minuteAgo, undefined, minuteAgo]);
  });

  it('a call that a collector has passed on keeps the time that it has set right', async () => {
    const times = { originalTimestamp: '2026-11-23T23:19:05Z', sentAt: '2026-11-23T23:20:05Z' };
    await send('/v1/t', { ...TRACK, ...times, timestamp: '2026-11-22T10:00:00Z' });
    expect(events()[0]!.timestampMs).toBe(Date.parse('2026-11-22T10:00:00Z'));
  });

  it('an alias of an id to itself is taken, and does nothing', async () => {
    expect((await send('/v1/a', { userId: 'u1', previousId: 'u1' })).statusCode).toBe(200);
    expect(envelopes()).toEqual([]);
  });

  it("a group's traits are the group's: its mail address is nobody's key", async () => {
    await send('/v1/g', { userId: 'u1', groupId: 'g1', traits: { email: 'info@acme.example' } });
    expect(summary(envelopes())).toEqual(['group customer_id=u1']);
  });

  it('properties of the prototype are not taken', async () => {
    await send('/v1/t', '{"event":"A","userId":"u1","properties":{"__proto__":{"admin":true},"a":1}}');
    expect(events()[0]!.properties).toEqual({ a: 1 });
  });

  it('the config says which id is which key, and what calls without a name are called', async () => {
    const parsed = parseSegmentConfig(`
segment: shop
stitching: { keys: [{ name: member, limit: 1 }, { name: mail, limit: 3 }, { name: cookie, kind: device, limit: 9 }] }
protocols:
  segment:
    user_id: member
    anonymous_id: cookie
    previous_id: member
    traits: { email: mail }
    names: { page: Page Seen }
`);
    if (parsed.kind !== 'ok') throw new Error(json(parsed.problems));
    await gateway[Symbol.asyncDispose]();
    gateway = await start([WRITE_KEY], [makeSegment('shop', parsed.config)]);
    await send('/v1/p', { userId: 'u1', anonymousId: 'd1', context: { traits: { email: 'a@x.io' } } });
    await send('/v1/a', { userId: 'u2', previousId: 'u1' });
    expect(summary(envelopes())).toEqual([
      'Page Seen member=u1 cookie=d1 mail=a@x.io',
      'link member=u2 member=u1',
    ]);
  });
});

it('how often an SDK has tried is counted, as far as it says so', async () => {
  for (const count of ['0', '3', 'often', '-1']) await send('/v1/t', TRACK, { 'x-retry-count': count });

  expect(await gateway.metric('stitchwork_gateway_sdk_retries_total')).toBe(3);
});

describe('what the log says is passed on', () => {
  it.each<[AppendOutcome, number, string | undefined]>([
    [{ kind: 'overloaded', retryAfterMs: 1500 }, 429, '2'],
    [{ kind: 'full' }, 503, '10'],
    [{ kind: 'unavailable', reason: 'x' }, 503, '2'],
    [{ kind: 'unknown', reason: 'x' }, 503, '2'],
  ])('%j', async (outcome, status, retryAfter) => {
    gateway.segment.appender.answers.push(outcome);
    const answer = await send('/v1/t', TRACK, { origin: 'https://shop.example' });
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([status, retryAfter]);
    expect(answer.headers['access-control-expose-headers']).toContain('retry-after');
  });
});

describe('CORS', () => {
  const preflight = (headers: Record<string, string>) =>
    gateway.app.inject({ method: 'OPTIONS', url: '/v1/t', headers });

  it('any origin may send, with credentials and the headers that it asks for', async () => {
    const answer = await preflight({
      origin: 'https://shop.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    });
    expect(answer.statusCode).toBe(204);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': 'https://shop.example',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'authorization,content-type',
      vary: 'Origin',
    });
  });

  it('odd header lists are not repeated', async () => {
    const odd = { 'access-control-request-headers': 'a"<b>', origin: 'https://shop.example' };
    expect((await preflight(odd)).headers['access-control-allow-headers']).toBe(
      'authorization, content-type',
    );
  });
});

describe('the settings document', () => {
  const fetchSettings = (key: string, headers: Record<string, string> = {}) =>
    gateway.app.inject({ url: `/v1/projects/${encodeURIComponent(key)}/settings`, headers });

  it('sends the SDK back here', async () => {
    const answer = await fetchSettings(WRITE_KEY, {
      host: 'cdp.example:8443',
      origin: 'https://shop.example',
    });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBe('https://shop.example');
    expect(answer.json()).toMatchObject({
      integrations: { 'Segment.io': { apiKey: WRITE_KEY, apiHost: 'cdp.example:8443/v1', protocol: 'http' } },
      metrics: { sampleRate: 0 },
    });
  });

  it('by the protocol that the browser used, behind a proxy as well', async () => {
    const answer = await fetchSettings(`${WRITE_KEY}@shop`, { 'x-forwarded-proto': 'https' });
    expect(answer.json()).toMatchObject({
      integrations: { 'Segment.io': { apiKey: `${WRITE_KEY}@shop`, protocol: 'https' } },
    });
  });

  it('is not given for a key that nobody knows', async () => {
    expect(errorCode(await fetchSettings('nobody'))).toBe('NOT_FOUND');
  });
});
