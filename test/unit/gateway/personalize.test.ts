// POST /v1/personalize/{service}: who may ask from where, what is answered, and what is told when something is slow or gone.
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import type { LightMyRequestResponse } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import type { Profile } from '../../../actors/profile/profile.ts';
import { encodeRecord, type RecordState } from '../../../actors/profile/record-codec.ts';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import { ERRORS, StitchworkError } from '../../../shared/kernel/errors.ts';
import {
  ADMIN_KEY,
  errorCode,
  makeSegment,
  startGateway,
  type TestGateway,
  WRITE_KEY,
} from './support/harness.ts';
import { makeLink, makeProfile, makeRedirect } from './support/records.ts';

const BUDGET_MS = 60;
const CONFIG = `segment: shop
stitching: { keys: [{ name: customer_id, limit: 1 }, { name: email, normalize: [trim, lowercase], invalid: [guest] }, { name: device, kind: device }] }
events: [{ name: viewed, when: 'event.name == "Viewed"' }]
attributes: [{ name: last_category, type: single, on: viewed, value: event.properties.category }]
batch: { tables: [{ name: crm, key: customer_id, attributes: { tier: string } }] }
catalogs: [{ name: products, key: sku, attributes: { title: string } }]
personalization:
  - service: web
    public: true
    origins: ['https://shop.example', 'https://*.shop.example']
    credentials: true
    budget: ${BUDGET_MS}ms
    tokens:
      - { name: site, secret: ['\${WEB_NEW}', '\${WEB_OLD}'] }
      - { name: office, secret: '\${WEB_OFFICE}', ips: [10.0.0.0/8, '2001:db8::/32'] }
      - { name: unset, secret: '\${WEB_UNSET}' }
    sections:
      - name: hero
        lookup: { p: { catalog: products, by: profile.last_category } }
        return: { category: '{{ profile.last_category }}', name: '{{ event.name }}', price: '{{ event.properties.price }}', title: '{{ lookup.p.title }}' }
        fallback: { category: none }
  - service: app
    tokens: [{ name: app, secret: '\${APP}' }]
    sections: [{ name: plain, return: { tier: '{{ profile.crm.tier }}' } }]
  - service: open
    public: true
    tokens: [{ name: open, secret: '\${OPEN}' }]
    sections: [{ name: plain, return: { a: 1 } }]
`;
const SECRETS: Readonly<Record<string, string>> = {
  WEB_NEW: 'web-token-new',
  WEB_OLD: 'web-token-old',
  WEB_OFFICE: 'web-token-office',
  APP: 'app-token-1',
  OPEN: 'open-token-1',
  STITCHWORK_TOKEN_WEB: 'never-asked-for',
};
const ORIGIN = 'https://shop.example';

let gateway: TestGateway | undefined;
afterEach(async () => {
  await gateway?.[Symbol.asyncDispose]();
  gateway = undefined;
});

async function start(settings: Parameters<typeof startGateway>[0] = {}) {
  const parsed = parseSegmentConfig(CONFIG);
  if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
  const segment = {
    ...makeSegment('shop', parsed.config),
    configVersion: () => 7,
    runs: () => ({ products: { run: 3, atMs: 1_000 }, crm: { run: 2, atMs: 500 } }),
  };
  gateway = await startGateway(settings, [segment as never], systemClock, (name) => SECRETS[name]);
  return { gateway, segment, store: segment.store, appender: segment.appender, boxes: segment.replyBoxes };
}

interface Ask {
  readonly service?: string;
  readonly query?: string;
  readonly token?: string | null;
  readonly origin?: string | null;
  readonly headers?: Record<string, string>;
  readonly address?: string;
}

function ask(body: unknown, o: Ask = {}): Promise<LightMyRequestResponse> {
  const headers: Record<string, string> = { 'content-type': 'application/json', ...o.headers };
  if (o.token !== null) headers.authorization = `Bearer ${o.token ?? 'web-token-new'}`;
  if (o.origin !== null) headers.origin = o.origin ?? ORIGIN;
  return gateway!.app.inject({
    method: 'POST',
    url: `/v1/personalize/${o.service ?? 'web'}${o.query ?? ''}`,
    headers,
    payload: typeof body === 'string' ? body : JSON.stringify(body),
    remoteAddress: o.address ?? '127.0.0.1',
  });
}

const VIEWED = { messageId: 'm-1', name: 'Viewed', keys: { device: 'd1' }, properties: { price: 5 } };
const KEYS = { keys: { device: 'd1' } };
const single = (value: string) => ({ kind: 'single', value, atMs: 2_000, messageId: 'm1' }) as const;
const ann = (category: string): Profile => ({
  ...makeProfile('p1', { device: ['d1'], customer_id: ['C1'] }),
  attributes: { last_category: single(category) },
});

function put(store: ReturnType<typeof makeSegment>['store'], key: string, state: RecordState): void {
  store.leader.set(key, encodeRecord(key, state));
}

/** As it is loaded. */
function putRow(store: ReturnType<typeof makeSegment>['store'], key: string, values: object): void {
  store.leader.set(key, Buffer.from(JSON.stringify(values)));
}

/** Ann is known, as she was before the event. */
function known(store: ReturnType<typeof makeSegment>['store'], category = 'before'): void {
  put(store, recordKeys.profile('p1'), ann(category));
  put(store, recordKeys.link('device', 'd1'), makeLink('p1'));
  put(store, recordKeys.link('customer_id', 'C1'), makeLink('p1'));
}

function replyWith(category: string) {
  const key = recordKeys.profile('p1');
  const record = Buffer.from(encodeRecord(key, ann(category))).toString('base64');
  return { messageId: 'm-1', profileId: 'p1', record };
}

describe('one call', () => {
  it('stores the event under the service, and answers by the profile that the worker sends', async () => {
    const { store, appender, boxes } = await start();
    known(store);
    boxes.replies.set(0, replyWith('after'));
    const answer = await ask(VIEWED);
    expect(answer.statusCode, answer.body).toBe(200);
    expect(answer.json()).toEqual({
      offers: { hero: { attributes: { category: 'after', name: 'Viewed', price: 5, title: null } } },
      profileId: 'p1',
      batchAsOf: null,
      profileAsOf: '1970-01-01T00:00:02.000Z',
      configVersion: 7,
      degraded: false,
      event: { messageId: 'm-1', stored: true, committed: true },
    });
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(appender.envelopes()).toMatchObject([
      { type: 'event', asks: 'web', replyTo: '_INBOX.box.0', event: { messageId: 'm-1' } },
    ]);
    // The commit brought the profile: nothing of it is read but its batch row and the look-up.
    expect(store.reads.flatMap(({ keys }) => keys)).toEqual([
      recordKeys.row('crm', 2, 'C1'),
      recordKeys.row('products', 3, 'after'),
    ]);
    expect(boxes.openCount).toBe(0);
  });

  it('reads a profile that is too large to be sent from the leader, through a merge that came meanwhile', async () => {
    const { store, boxes } = await start();
    known(store, 'leader');
    store.stale.set(recordKeys.profile('p1'), encodeRecord(recordKeys.profile('p1'), ann('stale')));
    boxes.replies.set(0, { messageId: 'm-1', profileId: 'p1' });
    expect((await ask(VIEWED)).json().offers.hero.attributes.category).toBe('leader');
    store.stale.clear();
    put(store, recordKeys.profile('p0'), makeRedirect('p1'));
    boxes.replies.set(0, { messageId: 'm-1', profileId: 'p0' });
    expect((await ask(VIEWED)).json()).toMatchObject({ profileId: 'p1', degraded: false });
  });

  it('with a profile that this program cannot read goes without it, and says so', async () => {
    const { gateway: app, boxes } = await start();
    boxes.replies.set(0, {
      messageId: 'm-1',
      profileId: 'p1',
      record: Buffer.from('later').toString('base64'),
    });
    expect((await ask(VIEWED)).json()).toMatchObject({
      offers: { hero: { fallback: true } },
      reasons: ['profile_unavailable'],
      event: { committed: true },
    });
    expect(app.logged).toHaveLength(1);
  });

  it('of an event whose keys identify nobody gives fallbacks', async () => {
    const { boxes } = await start();
    boxes.replies.set(0, { messageId: 'm-1', profileId: null });
    const answer = await ask({ ...VIEWED, keys: { email: 'guest' } });
    expect(answer.json()).toMatchObject({
      offers: { hero: { attributes: { category: 'none' }, fallback: true } },
      profileId: null,
      degraded: false,
      event: { committed: true },
    });
  });

  it.each([
    ['no key', { name: 'Viewed', keys: {} }, 'NO_KEYS'],
    ['an unknown key', { name: 'Viewed', keys: { devise: 'd' } }, 'UNKNOWN_KEY_NAME'],
    ['no name', { keys: { device: 'd' }, properties: {} }, 'INVALID_EVENT'],
    ['two events', [VIEWED, VIEWED], 'TOO_MANY_EVENTS'],
    ['no JSON', '{', 'BAD_REQUEST'],
    ['keys of a wrong form', { keys: 7 }, 'BAD_REQUEST'],
    ['keys that are none', { keys: { devise: 'd' } }, 'UNKNOWN_KEY_NAME'],
    ['keys alone, and none', { keys: {} }, 'NO_KEYS'],
  ])('refuses %s, and stores nothing', async (_what, body, code) => {
    const { appender, boxes } = await start();
    const answer = await ask(body);
    expect(errorCode(answer)).toBe(code);
    expect(answer.headers['access-control-allow-origin']).toBe(ORIGIN);
    expect(appender.requests).toEqual([]);
    expect(boxes.openCount).toBe(0);
  });

  it.each([
    [{ kind: 'full' } as const, 'LOG_FULL'],
    [{ kind: 'overloaded', retryAfterMs: 1500 } as const, 'OVERLOADED'],
    [{ kind: 'unavailable', reason: 'x' } as const, 'LOG_UNAVAILABLE'],
  ])('tells when the log does not take the event: %s', async (outcome, code) => {
    const { store, appender } = await start();
    known(store);
    appender.answers.push(outcome as never);
    const answer = await ask(VIEWED);
    expect(errorCode(answer)).toBe(code);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  });
});

describe('an answer within its budget', () => {
  it('when the worker is slow is made of what was committed before', async () => {
    const { gateway: app, store } = await start();
    known(store);
    const answer = await ask(VIEWED);
    expect(answer.json()).toMatchObject({
      offers: { hero: { attributes: { category: 'before', price: 5 } } },
      profileId: 'p1',
      degraded: true,
      reasons: ['worker_slow'],
      event: { messageId: 'm-1', stored: true, committed: false },
    });
    const labels = 'segment="shop",service="web"';
    expect(
      await app.metric(
        `stitchwork_gateway_personalize_requests_total{${labels},kind="event",outcome="degraded"}`,
      ),
    ).toBe(1);
    expect(
      await app.metric(`stitchwork_gateway_personalize_degraded_total{${labels},reason="worker_slow"}`),
    ).toBe(1);
    expect(
      await app.metric(
        `stitchwork_gateway_personalize_sections_total{${labels},section="hero",outcome="match"}`,
      ),
    ).toBe(1);
    expect(await app.metric(`stitchwork_gateway_personalize_seconds_count{${labels},kind="event"}`)).toBe(1);
  });

  it('of an event that cannot be applied too', async () => {
    const { store, boxes } = await start();
    known(store);
    boxes.replies.set(0, { messageId: 'm-1', profileId: null, code: 'RECORD_TOO_LARGE' });
    expect((await ask(VIEWED)).json()).toMatchObject({
      offers: { hero: { attributes: { category: 'before' } } },
      reasons: ['event_not_applied'],
      event: { stored: true, committed: false },
    });
  });

  it('does not wait for a log that does not answer', async () => {
    const { store, appender, boxes } = await start();
    known(store);
    let done: (outcome: { kind: 'stored' }) => void = () => {};
    appender.answers.push(new Promise((resolve) => (done = resolve)));
    const startMs = performance.now();
    const answer = await ask(VIEWED);
    expect(performance.now() - startMs).toBeLessThan(BUDGET_MS + 200);
    expect(answer.json()).toMatchObject({
      offers: { hero: { attributes: { category: 'before' } } },
      reasons: ['log_slow'],
      event: { stored: null, committed: false },
    });
    expect(boxes.openCount).toBe(0);
    done({ kind: 'stored' });
  });

  it.each([
    ['event', VIEWED, ['worker_slow', 'profile_unavailable']],
    ['read', KEYS, ['profile_unavailable']],
  ] as const)('does not wait for a store that does not answer: %s', async (_kind, body, reasons) => {
    const { store } = await start();
    store.failure = () => new Promise<never>(() => {});
    const startMs = performance.now();
    const answer = await ask(body);
    expect(performance.now() - startMs).toBeLessThan(BUDGET_MS + 200);
    expect(answer.json()).toMatchObject({
      offers: { hero: { attributes: { category: 'none' }, fallback: true } },
      profileId: null,
      degraded: true,
      reasons,
    });
  });

  it.each([
    ['STORE_UNAVAILABLE', 0],
    ['RECORD_DAMAGED', 1],
  ] as const)('goes without a store that fails with %s', async (code, logged) => {
    const { gateway: app, store } = await start();
    store.failure = async () => {
      throw new StitchworkError(code);
    };
    const answer = await ask(KEYS);
    expect(answer.json()).toMatchObject({ degraded: true, reasons: ['profile_unavailable'] });
    expect(app.logged).toHaveLength(logged);
  });

  it('goes without rows that cannot be read', async () => {
    const { store, boxes } = await start();
    boxes.replies.set(0, replyWith('after'));
    store.failure = () => new Promise<never>(() => {});
    expect((await ask(VIEWED)).json()).toMatchObject({
      offers: { hero: { attributes: { category: 'after', title: null } } },
      profileId: 'p1',
      reasons: ['rows_unavailable'],
      event: { committed: true },
    });
  });

  it('may be asked for sooner, and not for later', async () => {
    const { store } = await start();
    store.failure = () => new Promise<never>(() => {});
    const took = async (query: string) => {
      const startMs = performance.now();
      expect((await ask(KEYS, { query })).statusCode).toBe(200);
      return performance.now() - startMs;
    };
    await took('');
    expect(await took('?budget_ms=10')).toBeLessThan(BUDGET_MS - 5);
    expect(await took('?budget_ms=5000')).toBeLessThan(BUDGET_MS + 200);
    expect(errorCode(await ask(KEYS, { query: '?budget_ms=1' }))).toBe('BAD_REQUEST');
  });
});

describe('a read', () => {
  it('answers by the strongest key that somebody has, with newest rows, and stores nothing', async () => {
    const { store, appender } = await start();
    known(store, 'yoga');
    const row = recordKeys.row('crm', 2, 'C1');
    putRow(store, row, { tier: 'Gold' });
    putRow(store, recordKeys.row('products', 3, 'yoga'), { title: 'Mat', hidden: 1 });
    const answer = await ask({ keys: { email: 'nobody@x.y', device: 'd1' } });
    expect(answer.json()).toEqual({
      offers: { hero: { attributes: { category: 'yoga', name: null, price: null, title: 'Mat' } } },
      profileId: 'p1',
      batchAsOf: '1970-01-01T00:00:00.500Z',
      profileAsOf: '1970-01-01T00:00:02.000Z',
      configVersion: 7,
      degraded: false,
    });
    const tier = await ask(KEYS, { service: 'app', token: 'app-token-1', origin: null });
    expect(tier.json().offers.plain.attributes).toEqual({ tier: 'Gold' });
    expect(appender.requests).toEqual([]);
  });

  it('follows redirects, and asks the leader when a replica is behind', async () => {
    const { store } = await start();
    known(store, 'yoga');
    put(store, recordKeys.profile('p0'), makeRedirect('p1'));
    put(store, recordKeys.link('device', 'd1'), makeLink('p0'));
    expect((await ask(KEYS)).json()).toMatchObject({ profileId: 'p1' });
    const other = makeProfile('p9', { device: ['d9'] });
    put(store, recordKeys.profile('p9'), other);
    store.stale.set(recordKeys.link('device', 'd1'), encodeRecord('k.x', makeLink('p9')));
    expect((await ask(KEYS)).json()).toMatchObject({ profileId: 'p1' });
  });

  it('believes a link that it remembers only as long as the profile lists the key', async () => {
    const { store } = await start();
    known(store, 'yoga');
    await ask(KEYS);
    const readsOf = async () => {
      store.reads.length = 0;
      const answer = await ask(KEYS);
      return [
        answer.json().profileId,
        store.reads.flatMap(({ keys }) => keys).filter((key) => /^[kp]\./.test(key)),
      ];
    };
    expect(await readsOf()).toEqual(['p1', [recordKeys.profile('p1')]]);
    // The key moves to another profile, and that one becomes part of a third.
    put(store, recordKeys.profile('p1'), makeProfile('p1', { customer_id: ['C1'] }));
    put(store, recordKeys.profile('p2'), makeProfile('p2', { device: ['d1'] }));
    put(store, recordKeys.link('device', 'd1'), makeLink('p2'));
    expect((await readsOf())[0]).toBe('p2');
    put(store, recordKeys.profile('p3'), makeProfile('p3', { device: ['d1'] }));
    put(store, recordKeys.profile('p2'), makeRedirect('p3'));
    put(store, recordKeys.link('device', 'd1'), makeLink('p3'));
    expect((await readsOf())[0]).toBe('p3');
    // It ends, and the key is nobody's.
    store.leader.clear();
    expect((await readsOf())[0]).toBeNull();
  });

  it('of nobody makes nobody', async () => {
    const { store, appender } = await start();
    expect((await ask(KEYS)).json()).toMatchObject({ profileId: null, profileAsOf: null, batchAsOf: null });
    expect(appender.requests).toEqual([]);
    expect(store.leader.size).toBe(0);
  });
});

describe('who may ask', () => {
  it.each([
    ['either token while one takes the place of the other', { token: 'web-token-new' }, 200],
    ['the old token', { token: 'web-token-old' }, 200],
    ['an admin key, from anywhere', { token: ADMIN_KEY, origin: null }, 200],
    ['a write key', { token: WRITE_KEY }, 403],
    ['the token of another service', { token: 'app-token-1' }, 403],
    ['no token', { token: null }, 401],
    ['an unknown token', { token: 'web-token-neww' }, 401],
    ['a variable that is not set', { token: 'undefined' }, 401],
    ['the default token of a service that names others', { token: 'never-asked-for' }, 401],
    ['a page of another origin', { origin: 'https://evil.example' }, 403],
    ['a page whose host ends alike', { origin: 'https://notshop.example' }, 403],
    ['a page of a subdomain', { origin: 'https://m.shop.example' }, 200],
    ['a page of a trick', { origin: 'https://evil.example/.shop.example' }, 403],
    ['nobody that says its origin', { origin: null }, 403],
    ['an address of the list', { token: 'web-token-office', address: '10.1.2.3' }, 200],
    ['such a one over version 6', { token: 'web-token-office', address: '::ffff:10.1.2.3' }, 200],
    ['one of version 6', { token: 'web-token-office', address: '2001:db8::7' }, 200],
    ['another address', { token: 'web-token-office', address: '11.1.2.3' }, 403],
    [
      'one that only says so',
      { token: 'web-token-office', address: '11.1.2.3', headers: { 'x-forwarded-for': '10.1.2.3' } },
      403,
    ],
    ['a service that there is not', { service: 'wep', token: ADMIN_KEY }, 404],
  ] as readonly (readonly [string, Ask, number])[])('%s', async (_who, options, status) => {
    await start();
    const answer = await ask(KEYS, options);
    expect(answer.statusCode, answer.body).toBe(status);
    if (status !== 200) errorCode(answer);
  });

  it('a proxy that is trusted says where a call is from', async () => {
    await start({ trustedProxies: ['127.0.0.1'] });
    const via = (address: string) =>
      ask(KEYS, { token: 'web-token-office', headers: { 'x-forwarded-for': address } });
    expect((await via('10.1.2.3')).statusCode).toBe(200);
    expect((await via('11.1.2.3')).statusCode).toBe(403);
  });

  it('tells what was meant by a service that there is not', async () => {
    await start();
    const answer = await ask(KEYS, { service: 'wep', token: ADMIN_KEY });
    expect(answer.json().error.message).toContain("did you mean 'web'?");
  });
});

describe('pages of other origins', () => {
  const preflight = (service: string, origin: string) =>
    gateway!.app.inject({
      method: 'OPTIONS',
      url: `/v1/personalize/${service}`,
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      },
    });

  it('are let in by name, with cookies where asked', async () => {
    await start();
    const allowed = await preflight('web', ORIGIN);
    expect(allowed.statusCode).toBe(204);
    expect(allowed.headers).toMatchObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'POST',
      vary: 'Origin',
    });
    expect(allowed.headers['access-control-allow-headers']).toContain('authorization');
    const refused = await preflight('web', 'https://evil.example');
    expect(refused.headers['access-control-allow-origin']).toBeUndefined();
    expect((await preflight('app', ORIGIN)).headers['access-control-allow-origin']).toBeUndefined();
  });

  it('may be any, without cookies', async () => {
    await start();
    const answer = await ask(KEYS, { service: 'open', token: 'open-token-1', origin: 'https://any.example' });
    expect(answer.headers['access-control-allow-origin']).toBe('*');
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
  });

  it('can read refusals', async () => {
    await start();
    const answer = await ask(KEYS, { token: 'unknown-token' });
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['access-control-allow-origin']).toBe(ORIGIN);
  });
});

describe('/openapi.json', () => {
  it('describes every answer, and its examples are such', async () => {
    const { gateway: app, store, boxes } = await start();
    known(store);
    const { paths } = (await app.get('/openapi.json')).json();
    const { post } = paths['/v1/personalize/{service}'];
    const { schema, examples } = post.responses['200'].content['application/json'];
    const valuesOf = (named: Record<string, { value: unknown }>) =>
      Object.values(named).map((one) => one.value);
    const ajv = new Ajv2020({ strict: false });
    const check = ajv.compile(schema);
    const slow = await ask(VIEWED);
    boxes.replies.set(0, replyWith('after'));
    for (const body of [slow, await ask(VIEWED), await ask(KEYS)].map((answer) => answer.json()))
      expect(check(body), ajv.errorsText(check.errors)).toBe(true);
    expect(valuesOf(examples)).toHaveLength(2);
    for (const example of valuesOf(examples)) expect(check(example), ajv.errorsText(check.errors)).toBe(true);
    const request = post.requestBody.content['application/json'];
    for (const example of valuesOf(request.examples))
      expect(ajv.validate(request.schema, example), ajv.errorsText()).toBe(true);
    expect(paths['/v1/personalize/{service}'].options).toBeUndefined();
  });
});

describe('whatever comes in', () => {
  it('is answered in the words of the table, never with a 500', async () => {
    const { boxes } = await start();
    const text = fc.string({ unit: 'binary', maxLength: 20 });
    const body = fc.oneof(
      fc.json(),
      fc
        .record({
          keys: fc.oneof(
            fc.dictionary(fc.constantFrom('device', '__proto__', 'email'), fc.jsonValue()),
            fc.jsonValue(),
          ),
        })
        .map((value) => JSON.stringify(value)),
      fc
        .record({
          name: text,
          keys: fc.dictionary(fc.constantFrom('device', 'email'), text),
          properties: fc.jsonValue(),
        })
        .map((value) => JSON.stringify(value)),
      text,
    );
    await fc.assert(
      fc.asyncProperty(body, async (given) => {
        boxes.replies.set(0, { messageId: 'm', profileId: null });
        const answer = await ask(given, { query: '?budget_ms=20' });
        if (answer.statusCode === 200) return;
        expect(answer.statusCode).toBeLessThan(500);
        expect(ERRORS[errorCode(answer) as keyof typeof ERRORS].status).toBe(answer.statusCode);
      }),
      { numRuns: 400 },
    );
    expect(boxes.openCount).toBe(0);
  });
});
