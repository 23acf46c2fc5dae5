// Treasure Data's ingest addresses: recorded requests of td-js-sdk, records, postbacks, databases, where they stand.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GatewaySettings } from '../../../../gateway/settings.ts';
import { parseSegmentConfig } from '../../../../shared/contract/config/parse.ts';
import { errorCode, makeSegment, startGateway, type TestGateway, WRITE_KEY } from '../support/harness.ts';
import { clockAt, recorded, resend, summary } from './recorded.ts';

const json = JSON.stringify;
const NOW = '2026-11-22T23:20:05.000Z';

function segmentOf(name: string, protocols = '') {
  const parsed = parseSegmentConfig(`
segment: ${name}
stitching: { keys: [{ name: customer_id, limit: 1 }, { name: email, limit: 5 }, { name: cookie, kind: device, limit: 9 }] }
protocols: { segment: { anonymous_id: cookie }, treasure_data: { ${protocols} } }
`);
  if (parsed.kind !== 'ok') throw new Error(json(parsed.problems));
  return makeSegment(name, parsed.config);
}

let gateway: TestGateway;
const start = async (settings: Partial<GatewaySettings> = {}, segments = [segmentOf('shop')]) => {
  await gateway?.[Symbol.asyncDispose]();
  gateway = await startGateway({ writeKeys: [WRITE_KEY, 'WK_TD'], ...settings }, segments, clockAt(NOW));
};
beforeEach(() => start());
afterEach(() => gateway[Symbol.asyncDispose]());

const events = () =>
  gateway.segments.flatMap(({ appender }) =>
    appender.envelopes().flatMap((e) => (e.type === 'event' ? [e.event] : [])),
  );
const send = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  gateway.app.inject({
    method: 'POST',
    url,
    headers: {
      authorization: `TD1 ${WRITE_KEY}`,
      'content-type': 'application/vnd.treasuredata.v1+json',
      ...headers,
    },
    payload: json(body),
  });

describe('td-js-sdk, as it was recorded', () => {
  const records = (scenario: string) =>
    recorded('td-js-sdk', scenario).filter(({ path }) => path.startsWith('/my_db/'));

  it('in signed mode: preflights and records at the root', async () => {
    await start({ treasureDataHosts: ['*'] });
    const requests = records('signed_mode');
    for (const request of requests) {
      const answer = await resend(gateway, request);
      expect(answer.statusCode).toBe(request.method === 'OPTIONS' ? 204 : 200);
      expect(answer.headers['access-control-allow-origin']).toBe(request.headers.origin);
      expect(answer.headers['access-control-allow-credentials']).toBe('true');
    }
    const visitor = 'cookie=7a34240f-e750-4792-890e-40d5de5a1e6b';
    expect(summary(gateway.segment.appender.envelopes())).toEqual([
      `pageviews ${visitor}`,
      `my_table ${visitor}`,
      'my_table',
    ]);
    expect(events()[1]!.properties).toMatchObject({ action: 'click', price: 3, td_platform: 'Linux x86_64' });
    expect(events()[2]!.timestampMs).toBe(1_700_000_000_000);
  });

  it('in anonymous mode, its default, records carry no id: they are kept all the same', async () => {
    await start({ treasureDataHosts: ['*'] });
    for (const request of records('anonymous_mode_200_emptyjson'))
      expect((await resend(gateway, request)).statusCode).toBeLessThan(300);
    expect(events().map(({ keys }) => keys)).toEqual([{}, {}, {}]);
  });
});

describe('records', () => {
  it('one or many, each with a receipt', async () => {
    const one = await send('/td/shop_db/clicks', { email: 'a@x.io', uuid: 'r1' });
    expect([one.statusCode, one.json()]).toEqual([200, { receipts: [{ success: true, uuid: 'r1' }] }]);
    const many = await send('/td/shop_db/clicks', {
      events: [{ email: 'a@x.io', uuid: 'r2' }, 5, { cookie: 'c1' }],
    });
    expect(many.json()).toEqual({
      receipts: [
        { success: true, uuid: 'r2' },
        { success: false, error: { code: 'INVALID_EVENT', message: 'a record is an object, not a number' } },
        { success: true, uuid: expect.stringMatching(/^[\da-f-]{36}$/) },
      ],
    });
    expect(
      events()
        .map(({ messageId }) => messageId)
        .slice(0, 2),
    ).toEqual(['r1', 'r2']);
  });

  it('are named by their column, else by their table', async () => {
    await send('/td/shop_db/clicks', { events: [{ event_name: 'Product Viewed' }, { event_name: '' }, {}] });
    expect(events().map(({ name, table }) => [name, table])).toEqual([
      ['Product Viewed', 'clicks'],
      ['clicks', 'clicks'],
      ['clicks', 'clicks'],
    ]);
  });

  it.each<[unknown, number | undefined]>([
    [1_700_000_000, 1_700_000_000_000],
    ['1700000000', 1_700_000_000_000],
    [1_700_000_000.5, 1_700_000_000_500],
    [1_700_000_000_000, 1_700_000_000_000],
    ['2026-11-22T10:00:00Z', Date.parse('2026-11-22T10:00:00Z')],
    ['soon', undefined],
    [-5, undefined],
    [{}, undefined],
  ])('happened at %j', async (time, expected) => {
    expect((await send('/td/shop_db/clicks', { email: 'a@x.io', time })).statusCode).toBe(200);
    expect(events()[0]!.timestampMs).toBe(expected);
  });

  it('columns that ask for it are filled; a global id there is none to give', async () => {
    const record = {
      td_ip: 'td_ip',
      td_ua: 'td_ua',
      td_global_id: 'td_global_id',
      page: 'page',
      cookie: 'c1',
    };
    await send('/td/shop_db/clicks', record, { 'user-agent': 'Browser/1' });
    expect(events()[0]!.properties).toEqual({
      td_ip: '127.0.0.1',
      td_ua: 'Browser/1',
      page: 'page',
      cookie: 'c1',
    });
  });

  it('the config says which column is which key and which one names the event', async () => {
    const config = 'name: action, keys: { member: customer_id, mail: email, td_client_id: cookie }';
    await start({}, [segmentOf('shop', config)]);
    await send('/td/shop_db/clicks', {
      action: 'click',
      member: 7,
      mail: '',
      email: 'a@x.io',
      td_client_id: 'c1',
    });
    expect(summary(gateway.segment.appender.envelopes())).toEqual(['click customer_id=7 cookie=c1']);
  });

  it.each([
    ['TD1', { authorization: `TD1 ${WRITE_KEY}` }, 200],
    ['Bearer', { authorization: `Bearer ${WRITE_KEY}` }, 200],
    ['the header of postbacks', { authorization: '', 'x-td-write-key': WRITE_KEY }, 200],
    ['none', { authorization: '' }, 401],
    ['an unknown one', { authorization: 'TD1 nobody' }, 401],
  ])('with the key as %s', async (_, headers, status) => {
    expect((await send('/td/shop_db/clicks', { cookie: 'c1' }, headers)).statusCode).toBe(status);
  });

  it.each(['/td/S/clicks', '/td/shop_db/Clicks', '/td/shop_db/a', `/td/shop_db/${'a'.repeat(129)}`])(
    '%s is no database and table',
    async (url) => expect(errorCode(await send(url, { cookie: 'c1' }))).toBe('BAD_REQUEST'),
  );
});

describe('databases', () => {
  it('belong to the segment that names them; the others to the one that takes any', async () => {
    await start({}, [segmentOf('shop', 'databases: [shop_db, old_db]'), segmentOf('toys')]);
    for (const database of ['old_db', 'shop_db', 'whatever'])
      await send(`/td/${database}/clicks`, { cookie: 'c1' });
    await send('/td/shop_db/clicks?segment=toys', { cookie: 'c1' });
    expect(gateway.segments.map(({ appender }) => appender.requests.length)).toEqual([2, 2]);
  });

  it('that nobody takes, or several could, are refused', async () => {
    await start({}, [segmentOf('shop', 'databases: [shop_db]')]);
    expect(errorCode(await send('/td/other_db/clicks', { cookie: 'c1' }))).toBe('UNKNOWN_SEGMENT');
    await start({}, [segmentOf('shop'), segmentOf('toys')]);
    expect(errorCode(await send('/td/other_db/clicks', { cookie: 'c1' }))).toBe('BAD_REQUEST');
  });
});

describe('at the root', () => {
  const post = (host: string, url = '/shop_db/clicks') => send(url, { cookie: 'c1' }, { host });

  it('stands nothing unless it is asked for', async () => {
    expect((await post('cdp.example')).statusCode).toBe(404);
  });

  it('of the hosts that are named, on any port', async () => {
    await start({ treasureDataHosts: ['td.example', 'td2.example'] });
    expect((await post('td.example')).statusCode).toBe(200);
    expect((await post('TD2.example:8443')).statusCode).toBe(200);
    expect((await post('cdp.example')).statusCode).toBe(404);
    expect((await post('td.example.evil')).statusCode).toBe(404);
    expect((await post('tdxexample')).statusCode).toBe(404);
  });

  it('of every host, without hiding other addresses', async () => {
    await start({ treasureDataHosts: ['*'] });
    expect((await post('anything')).statusCode).toBe(200);
    expect((await post('anything', '/V1/events')).statusCode).toBe(404);
    expect((await gateway.get('/shop_db/clicks')).statusCode).toBe(404);
    expect((await gateway.get('/health/live')).statusCode).toBe(200);
    expect(
      (await send('/v1/track', { event: 'A', userId: 'u1' }, { authorization: `Bearer ${WRITE_KEY}` }))
        .statusCode,
    ).toBe(200);
  });
});

describe('postbacks', () => {
  const url = '/postback/v3/event/shop_db/mail_opens';

  it.each([
    ['the header', url, { 'x-td-write-key': WRITE_KEY, authorization: '' }],
    ['the address', `${url}?td_write_key=${WRITE_KEY}`, { authorization: '' }],
    ['Authorization, which wins', `${url}?td_write_key=nobody`, {}],
  ])('with the key in %s', async (_, address, headers) => {
    const answer = await send(
      address,
      { email: 'a@x.io', td_format: 'x' },
      headers as Record<string, string>,
    );
    expect([answer.statusCode, answer.json()]).toEqual([200, {}]);
    expect(events()[0]).toMatchObject({
      name: 'mail_opens',
      keys: { email: 'a@x.io' },
      properties: { email: 'a@x.io' },
    });
  });

  it.each([
    [-6, true],
    [2, true],
    [-8, false],
    [4, false],
  ])('a td_record_time %i days off is heeded: %s', async (days, heeded) => {
    const time = Date.parse(NOW) / 1000 + days * 86_400;
    await send(url, { email: 'a@x.io', td_record_time: time });
    expect(events()[0]!.timestampMs).toBe(heeded ? time * 1000 : undefined);
  });
});
