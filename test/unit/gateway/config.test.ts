// The config routes: look, change, roll back, diff, validate, by the answers and by what the store holds.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ConfigCandidate } from '../../../shared/ports/config-store.ts';
import {
  ADMIN_KEY,
  errorCode,
  makeSegment,
  startGateway,
  type TestGateway,
  WRITE_KEY,
} from './support/harness.ts';

const BASE = `# the shop
segment: shop
stitching:
  keys:
    - { name: email, limit: 5 }
    - { name: device, kind: device, limit: 100 }
events:
  - { name: viewed, when: 'event.name == "Viewed"' }
attributes:
  - { name: views, type: counter, on: viewed, windows: [7d] }
`;
const WITH_LAST = `${BASE}  - { name: last, type: single, on: viewed, value: event.properties.page }\n`;
const OBSERVED = BASE.replace('{ name: email, limit: 5 }', '{ name: email, observe_only: true }');
const BROKEN = BASE.replace('on: viewed', 'on: veiwed').replace('limit: 5', 'limit: 0');

let gateway: TestGateway;
let version = 0;

beforeEach(async () => {
  version = 0;
  const segment = { ...makeSegment(), configVersion: () => version };
  segment.configs.watch((stored) => {
    version = stored.version;
  });
  gateway = await startGateway({}, [segment]);
  const first: ConfigCandidate = {
    yaml: BASE,
    digest: 'd',
    at: '2026-11-23T10:00:00.000Z',
    by: 'start',
    note: null,
    rollbackOf: null,
  };
  await segment.configs.add(first, 0);
});
afterEach(() => gateway.app.close());

const admin = { authorization: `Bearer ${ADMIN_KEY}` };
const put = (body: string, query = '', headers: Record<string, string> = {}) =>
  gateway.app.inject({
    method: 'PUT',
    url: `/v1/config/shop${query}`,
    headers: { ...admin, 'content-type': 'text/yaml', ...headers },
    payload: body,
  });
const post = (path: string, body: string | object, headers: Record<string, string> = {}) =>
  gateway.app.inject({
    method: 'POST',
    url: `/v1/config/${path}`,
    headers: {
      ...admin,
      'content-type': typeof body === 'string' ? 'text/yaml' : 'application/json',
      ...headers,
    },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
  });
const get = (path = '') => gateway.get(`/v1/config${path}`);

describe('GET /v1/config', () => {
  it('is the text as it was written, with its number in headers; or everything as JSON', async () => {
    const yaml = await get('/shop');
    expect(yaml.body).toBe(BASE);
    expect(yaml.headers).toMatchObject({
      'content-type': 'application/yaml; charset=utf-8',
      etag: '"1"',
      'x-stitchwork-config-version': '1',
      'x-stitchwork-config-by': 'start',
    });
    expect((await get('/shop?format=json')).json()).toMatchObject({
      segment: 'shop',
      version: 1,
      by: 'start',
      yaml: BASE,
      config: { segment: 'shop', events: [{ name: 'viewed' }] },
    });
    expect((await get()).json()).toMatchObject({ segments: [{ segment: 'shop', version: 1 }] });
  });

  it('needs an admin key, and a segment that is here', async () => {
    expect(errorCode(await gateway.get('/v1/config/shop', null))).toBe('UNAUTHORIZED');
    expect(errorCode(await gateway.get('/v1/config/shop', WRITE_KEY))).toBe('FORBIDDEN');
    expect(errorCode(await get('/shops'))).toBe('UNKNOWN_SEGMENT');
    expect(errorCode(await get('/shop/versions/7'))).toBe('NOT_FOUND');
    expect(errorCode(await get('/shop/versions/x'))).toBe('BAD_REQUEST');
  });
});

describe('PUT /v1/config/{segment}', () => {
  it('stores a version, and answers when this gateway has taken it over', async () => {
    const answer = await put(WITH_LAST, '?note=pages&by=ann');
    expect(answer.statusCode).toBe(200);
    expect(answer.headers.etag).toBe('"2"');
    expect(answer.json()).toMatchObject({
      segment: 'shop',
      version: 2,
      changed: true,
      by: 'ann',
      note: 'pages',
      rollbackOf: null,
      diff: { changes: [{ kind: 'added', section: 'attributes', name: 'last' }], stitching: false },
    });
    expect(version).toBe(2);
    expect((await get('/shop')).body).toBe(WITH_LAST);
    expect((await get('/shop/versions/1')).body).toBe(BASE);
    const history = (await get('/shop/versions')).json() as { current: number; versions: { by: string }[] };
    expect(history.current).toBe(2);
    expect(history.versions.map(({ by }) => by)).toEqual(['ann', 'start']);
  });

  it('stores nothing when the text is in force already, and something when a comment has changed', async () => {
    expect((await put(BASE)).json()).toMatchObject({ version: 1, changed: false, diff: { changes: [] } });
    expect((await put(`${BASE}# more\n`)).json()).toMatchObject({ version: 2, diff: { changes: [] } });
  });

  it('takes JSON', async () => {
    const document = { segment: 'shop', stitching: { keys: [{ name: 'email' }] } };
    const answer = await put(JSON.stringify(document), '', { 'content-type': 'application/json' });
    expect(answer.json()).toMatchObject({ version: 2, changed: true });
    expect((await get('/shop?format=json')).json()).toMatchObject({ config: document });
  });

  it('with If-Match only over that version', async () => {
    expect((await put(WITH_LAST, '', { 'if-match': '"1"' })).statusCode).toBe(200);
    const late = await put(BASE, '', { 'if-match': '1' });
    expect(late.statusCode).toBe(409);
    expect(late.json()).toMatchObject({
      error: { code: 'CONFLICT', details: [{ expected: 1, version: 2 }] },
    });
    expect(errorCode(await put(BASE, '', { 'if-match': 'one' }))).toBe('BAD_REQUEST');
    expect((await put(BASE, '', { 'if-match': '*' })).json()).toMatchObject({ version: 3 });
  });

  it('of many at the same time each gets a number of its own or CONFLICT', async () => {
    const texts = Array.from({ length: 6 }, (_, index) => `${BASE}# ${index}\n`);
    const answers = await Promise.all(texts.map((text) => put(text)));
    const stored = answers.filter(({ statusCode }) => statusCode === 200);
    expect(stored).toHaveLength(1);
    for (const answer of answers) if (answer.statusCode !== 200) expect(errorCode(answer)).toBe('CONFLICT');
    const history = (await get('/shop/versions')).json() as { versions: unknown[] };
    expect(history.versions).toHaveLength(2);
  });

  it('refuses a wrong config whole, with every problem and its place', async () => {
    const answer = await put(BROKEN);
    expect(answer.statusCode).toBe(400);
    const { error } = answer.json() as { error: { code: string; details: { path: string; line: number }[] } };
    expect(error.code).toBe('INVALID_CONFIG');
    expect(error.details).toMatchObject([
      { line: 5, path: 'stitching.keys[0].limit' },
      { line: 10, path: 'attributes[0].on', suggestion: 'viewed' },
    ]);
    expect((await get('/shop')).body).toBe(BASE);
    const other = await put(BASE.replace('segment: shop', 'segment: shop2'));
    expect(other.json()).toMatchObject({
      error: { code: 'INVALID_CONFIG', details: [{ path: 'segment', line: 2, suggestion: 'shop' }] },
    });
  });

  it('tells problems and changes in a dry run, and stores nothing', async () => {
    expect((await put(WITH_LAST, '?dry_run=true')).json()).toMatchObject({
      version: 1,
      changed: false,
      dryRun: true,
      problems: [],
      diff: { changes: [{ name: 'last' }] },
    });
    const bad = await put(BROKEN, '?dry_run=true');
    expect(bad.statusCode).toBe(200);
    expect(bad.json()).toMatchObject({ diff: null, problems: [{ line: 5 }, { line: 10 }] });
    expect((await get('/shop/versions')).json()).toMatchObject({ current: 1 });
  });

  it.each([
    ['nothing', '', {}, 'BAD_REQUEST'],
    ['another content type', BASE, { 'content-type': 'image/png' }, 'UNSUPPORTED_MEDIA_TYPE'],
    ['more than is kept', `${BASE}#${'x'.repeat(600_000)}`, {}, 'REQUEST_TOO_LARGE'],
  ])('refuses %s', async (_what, body, headers, code) => {
    expect(errorCode(await put(body, '', headers))).toBe(code);
  });

  it('refuses what is not UTF-8', async () => {
    const answer = await gateway.app.inject({
      method: 'PUT',
      url: '/v1/config/shop',
      headers: { ...admin, 'content-type': 'text/yaml' },
      payload: Buffer.from([0x61, 0xff, 0xfe]),
    });
    expect(errorCode(answer)).toBe('BAD_REQUEST');
  });
});

describe('POST /v1/config/{segment}/rollback', () => {
  it('stores the old text as a new version', async () => {
    await put(WITH_LAST);
    const answer = await post('shop/rollback', { to: 1, note: 'wrong' });
    expect(answer.json()).toMatchObject({
      version: 3,
      changed: true,
      note: 'wrong',
      rollbackOf: 1,
      diff: { changes: [{ kind: 'removed', name: 'last' }] },
    });
    expect((await get('/shop')).body).toBe(BASE);
    expect((await get('/shop/versions/2')).body).toBe(WITH_LAST);
  });

  it('is judged as any change is', async () => {
    await put(WITH_LAST);
    expect(errorCode(await post('shop/rollback', { to: 9 }))).toBe('NOT_FOUND');
    expect(errorCode(await post('shop/rollback', { to: 1, if_version: 1 }))).toBe('CONFLICT');
    expect(errorCode(await post('shop/rollback', { to: 0 }))).toBe('BAD_REQUEST');
    expect(errorCode(await post('shop/rollback', { too: 1 }))).toBe('BAD_REQUEST');
    expect(errorCode(await post('shop/rollback', '{'))).toBe('BAD_REQUEST');
    expect((await post('shop/rollback', { to: 2 })).json()).toMatchObject({ version: 2, changed: false });
    expect((await post('shop/rollback', { to: 1, dry_run: true })).json()).toMatchObject({ version: 2 });
  });
});

describe('POST /v1/config/validate', () => {
  it('tells every problem, of any segment', async () => {
    expect((await post('validate', BASE.replace('segment: shop', 'segment: other'))).json()).toEqual({
      valid: true,
      segment: 'other',
      problems: [],
    });
    expect((await post('validate', BROKEN)).json()).toMatchObject({
      valid: false,
      problems: [
        { line: 5, column: 29, path: 'stitching.keys[0].limit' },
        { line: 10, path: 'attributes[0].on', code: 'REFERENCE', suggestion: 'viewed' },
      ],
    });
    expect((await post('validate', 'a: [')).json()).toMatchObject({
      valid: false,
      problems: [{ code: 'SYNTAX' }],
    });
  });
});

describe('the diff', () => {
  it('of two versions, by default of the last two', async () => {
    await put(WITH_LAST);
    await put(OBSERVED);
    expect((await get('/shop/diff')).json()).toMatchObject({ from: 2, to: 3, diff: { stitching: true } });
    expect((await get('/shop/diff?from=1&to=2')).json()).toMatchObject({
      from: 1,
      to: 2,
      diff: { changes: [{ kind: 'added', name: 'last' }] },
      stitching: null,
    });
    const text = await get('/shop/diff?from=2&to=1&format=text');
    expect(text.headers['content-type']).toContain('text/plain');
    expect(text.body).toMatch(/^attributes\n {2}- last\n/);
    expect(errorCode(await get('/shop/diff?to=9'))).toBe('NOT_FOUND');
  });

  it('from the one in force to a text, over the newest events when stitching changes', async () => {
    const event = (sequence: number, keys: Record<string, string>) => ({
      shard: 0,
      source: 'ingest' as const,
      sequence,
      timeMs: 1_700_000_000_000 + sequence,
      payload: Buffer.from(
        JSON.stringify({
          v: 1,
          type: 'event',
          event: { messageId: `m${sequence}`, name: 'Viewed', keys, properties: {} },
        }),
      ),
    });
    gateway.segment.recentEvents.messages.push(
      event(1, { device: 'old', email: 'a@x.org' }),
      event(2, { device: 'd1', email: 'a@x.org' }),
      event(3, { device: 'd2', email: 'a@x.org' }),
      { ...event(4, {}), payload: Buffer.from('not an envelope') },
    );
    const answer = await post('shop/diff?events=3', OBSERVED);
    expect(answer.json()).toMatchObject({
      from: 1,
      to: null,
      diff: { stitching: true, changes: [{ section: 'stitching.keys', name: 'email' }] },
      stitching: {
        events: 2,
        profiles: { before: 1, after: 2 },
        join: { count: 0 },
        part: { count: 1, examples: [{ partCount: 2, whole: { keys: { device: ['d1', 'd2'] } } }] },
      },
    });
    const text = (await post('shop/diff?events=3&format=text', OBSERVED)).body;
    expect(text).toContain(
      '1 profiles of before would part\n      device:d1  device:d2  email:a@x.org (2 events)',
    );
    expect((await post('shop/diff?events=3', WITH_LAST)).json()).toMatchObject({ stitching: null });
    expect(errorCode(await post('shop/diff?events=0', OBSERVED))).toBe('BAD_REQUEST');
    expect(errorCode(await post('shop/diff', BROKEN))).toBe('INVALID_CONFIG');
  });
});

describe('GET /v1/config/schema.json', () => {
  it('is open', async () => {
    const answer = await gateway.get('/v1/config/schema.json', null);
    expect(answer.headers['content-type']).toContain('application/schema+json');
    expect(answer.json()).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema' });
  });
});
