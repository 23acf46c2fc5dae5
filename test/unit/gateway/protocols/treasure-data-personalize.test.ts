// Treasure Data's personalization call: td-js-sdk's recorded request, its answer, and refusals by its numbers.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseSegmentConfig } from '../../../../shared/contract/config/parse.ts';
import { systemClock } from '../../../../shared/kernel/clock.ts';
import { errorCode, makeSegment, startGateway, type TestGateway, WRITE_KEY } from '../support/harness.ts';
import { recorded, resend } from './recorded.ts';

const CONFIG = `segment: shop
stitching: { keys: [{ name: customer_id, limit: 1 }, { name: cookie, kind: device }] }
events: [{ name: viewed, when: 'event.name == "Viewed"' }]
attributes: [{ name: last_page, type: single, on: viewed, value: event.properties.page }]
protocols: { segment: { anonymous_id: cookie }, treasure_data: { databases: [my_db] } }
personalization:
  - service: web
    public: true
    budget: 40ms
    tokens: [{ name: site, secret: '\${WEB}' }, { name: office, secret: '\${OFFICE}', ips: [10.0.0.0/8] }]
    sections: [{ name: hero, audiences: true, return: { page: '{{ event.properties.page }}' }, fallback: { page: none } }]
  - service: shops
    public: true
    origins: ['https://shop.example']
    tokens: [{ name: shop, secret: '\${SHOP}' }]
    sections: [{ name: hero, return: { a: 1 }, fallback: { a: 1 } }]
  - service: server
    budget: 40ms
    tokens: [{ name: app, secret: '\${SERVER}' }]
    sections: [{ name: plain, return: { a: 1 }, fallback: { a: 0 } }]
`;
const SECRETS: Readonly<Record<string, string>> = {
  WEB: '1/2/web-token',
  OFFICE: '1/2/office-token',
  SHOP: '1/2/shop-token',
  SERVER: '1/2/server-token',
};

let gateway: TestGateway;
beforeEach(async () => {
  const parsed = parseSegmentConfig(CONFIG);
  if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
  gateway = await startGateway(
    { writeKeys: [WRITE_KEY, 'WK_TD'], treasureDataHosts: ['*'] },
    [makeSegment('shop', parsed.config)],
    systemClock,
    (name) => SECRETS[name],
  );
});
afterEach(() => gateway[Symbol.asyncDispose]());

interface Ask {
  readonly url?: string;
  readonly token?: string | null;
  readonly headers?: Record<string, string>;
  readonly address?: string;
}
const RECORD = { td_client_id: 'c1', event_name: 'Viewed', page: '/x', uuid: 'r1' };
const ask = (body: unknown, { url, token = '1/2/web-token', headers, address }: Ask = {}) =>
  gateway.app.inject({
    method: 'POST',
    url: url ?? '/td/public/my_db/pz_tbl',
    headers: {
      authorization: `TD1 ${WRITE_KEY}`,
      'content-type': 'application/vnd.treasuredata.v1+json',
      origin: 'https://any.example',
      ...(token !== null && { 'wp13n-token': token }),
      ...headers,
    },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
    remoteAddress: address ?? '127.0.0.1',
  });
const envelopes = () => gateway.segment.appender.envelopes();

describe('an answer', () => {
  it.each(['/td/public/my_db/pz_tbl', '/public/my_db/pz_tbl'])(
    'at %s, in the words of its SDK',
    async (url) => {
      const answer = await ask(RECORD, { url });
      expect([answer.statusCode, answer.json()]).toEqual([
        200,
        { offers: { hero: { attributes: { page: 'none' }, batch_segments: [] } } },
      ]);
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': 'https://any.example',
        'access-control-allow-credentials': 'true',
        'cache-control': 'no-store',
      });
      expect(envelopes()).toMatchObject([
        { event: { messageId: 'r1', name: 'Viewed', keys: { cookie: 'c1' }, table: 'pz_tbl' }, asks: 'web' },
      ]);
    },
  );

  it.each(['/td/my_db/pz_tbl', '/my_db/pz_tbl'])('for a server, at %s', async (url) => {
    const answer = await ask(RECORD, { url, token: '1/2/server-token' });
    expect(answer.json()).toEqual({ offers: { plain: { attributes: { a: 0 }, batch_segments: [] } } });
  });

  it("td-js-sdk's preflight asks for the token's header, and its request is understood", async () => {
    const calls = recorded('td-js-sdk', 'signed_mode').filter(({ path }) => path.startsWith('/public/'));
    const [preflight, post] = calls as [(typeof calls)[0], (typeof calls)[0]];
    const allowed = await resend(gateway, preflight);
    expect([allowed.statusCode, allowed.headers['access-control-allow-headers']]).toEqual([
      204,
      'authorization,content-type,wp13n-token',
    ]);
    expect((await resend(gateway, post)).json()).toMatchObject({ code: 3001 });
    const known = { ...post, headers: { ...post.headers, 'wp13n-token': '1/2/web-token' } };
    expect((await resend(gateway, known)).json()).toMatchObject({ offers: { hero: {} } });
  });
});

describe('refusals, by its numbers', () => {
  it.each<[string, unknown, Ask, number, number]>([
    ['no token', RECORD, { token: null }, 400, 3000],
    ['an unknown token', RECORD, { token: '1/2/nobody' }, 400, 3001],
    ['another database', RECORD, { url: '/td/public/other_db/pz_tbl' }, 400, 3002],
    ['an unknown write key', RECORD, { headers: { authorization: 'TD1 nobody' } }, 400, 3002],
    ['no record', '[]', {}, 400, 3004],
    ['a number', '5', {}, 400, 3004],
    ['broken JSON', '{"a":', {}, 400, 3004],
    ['a record without any key', { page: '/x' }, {}, 400, 3004],
    ['a large record', { cookie: 'c1', pad: 'x'.repeat(1_100_000) }, {}, 400, 3004],
    ['another address', RECORD, { token: '1/2/office-token' }, 400, 3005],
    ["a server's token in a browser", RECORD, { token: '1/2/server-token' }, 400, 3006],
    ["a browser's token at a server", RECORD, { url: '/td/my_db/pz_tbl' }, 400, 3006],
    ['another origin', RECORD, { token: '1/2/shop-token' }, 400, 3007],
  ])('%s', async (_, body, options, status, code) => {
    const answer = await ask(body, options);
    expect([answer.statusCode, answer.json()]).toEqual([status, { code, message: expect.any(String) }]);
    expect(answer.headers['access-control-allow-origin']).toBe('https://any.example');
    expect(envelopes()).toEqual([]);
  });

  it('a full log', async () => {
    gateway.segment.appender.answers.push({ kind: 'full' });
    const answer = await ask(RECORD);
    expect([answer.statusCode, answer.json()]).toMatchObject([503, { code: 2001 }]);
    expect(answer.headers['retry-after']).toBe('10');
  });

  it('too much at once', async () => {
    gateway.segment.appender.answers.push({ kind: 'overloaded', retryAfterMs: 1000 });
    const answer = await ask(RECORD);
    expect([answer.statusCode, answer.json()]).toMatchObject([429, { code: 2003 }]);
    expect(answer.headers['retry-after']).toBe('1');
  });

  it('what is no database and table is refused before, in our own words', async () => {
    expect(errorCode(await ask(RECORD, { url: '/td/public/My_db/pz_tbl' }))).toBe('BAD_REQUEST');
  });
});
