// `stitchwork audit` against a gateway of the test's own: what it asks for, how far it goes on, what it prints.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { runCommand } from './run.ts';

const entry = (n: number) => ({
  at: `2026-11-22T10:15:0${n}.000Z`,
  kind: 'link_refused',
  profileId: 'p1',
  messageId: `m${n}`,
  facts: [
    { kind: 'key_attached', key: { name: 'email', value: 'ann\u001b[2J@x.org' } },
    {
      kind: 'link_refused',
      key: { name: 'email', value: 'bob@x.org' },
      reason: 'limit',
      detail: 'limit of 1 email a profile',
      heldBy: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b12',
    },
  ],
});

let server: Server;
let url: string;
let asked: URLSearchParams[];
let answers: { readonly status?: number; readonly body: object }[];

beforeAll(async () => {
  server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://x');
    expect(pathname).toBe('/v1/audit');
    asked.push(searchParams);
    const { status = 200, body } = answers[asked.length - 1]!;
    response.writeHead(status).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());
beforeEach(() => {
  asked = [];
  answers = [{ body: { entries: [entry(1)], complete: true, scanned: 1 } }];
});

it('asks for what the flags say, and prints a line an entry without control characters', async () => {
  const flags = ['--profile', 'p1', '--about', 'email:ann@x.org', '--kind', 'link_refused'];
  const more = ['--reason', 'limit', '--message', 'm1', '--since', '2h', '--until', '1h', '-n', '7'];
  const { code, out } = await runCommand(['audit', '--url', url, ...flags, ...more, '--segment', 'shop']);
  expect(code).toBe(0);
  expect(Object.fromEntries(asked[0]!)).toEqual({
    profile: 'p1',
    key: 'email:ann@x.org',
    kind: 'link_refused',
    reason: 'limit',
    messageId: 'm1',
    from: '2h',
    to: '1h',
    limit: '7',
    segment: 'shop',
  });
  expect(out).toBe(
    '2026-11-22T10:15:01.000Z link_refused profile p1 message m1: key attached email:ann\\u001b[2J@x.org; ' +
      'link refused email:bob@x.org held by …0f6f0c3a9b12 (limit: limit of 1 email a profile)',
  );
});

it('goes on until it has what was asked for, also over answers that hold nothing', async () => {
  answers = [
    { body: { entries: [], complete: false, next: 'one', scanned: 9 } },
    { body: { entries: [entry(2)], complete: false, next: 'two', scanned: 9 } },
    { body: { entries: [entry(1)], complete: false, next: 'three', scanned: 9 } },
  ];
  const { code, out } = await runCommand(['audit', '--url', url, '--limit', '2', '--json']);
  expect(code).toBe(0);
  expect(out.split('\n').map((line) => JSON.parse(line).messageId)).toEqual(['m2', 'm1']);
  expect(asked.map((query) => [query.get('next'), query.get('limit')])).toEqual([
    [null, '2'],
    ['one', '2'],
    ['two', '1'],
  ]);
});

it('asks for no more than an answer may hold', async () => {
  await runCommand(['audit', '--url', url, '--limit', '5000']);
  expect(asked[0]!.get('limit')).toBe('1000');
});

it('says when there is nothing', async () => {
  answers = [{ body: { entries: [], complete: true, scanned: 0 } }];
  const { code, out, err } = await runCommand(['audit', '--url', url]);
  expect({ code, out, err }).toEqual({ code: 0, out: '', err: 'nothing in the audit log is of this kind' });
});

it('tells what the gateway refuses, and what is no number', async () => {
  answers = [{ status: 400, body: { error: { code: 'BAD_REQUEST', message: "kind: 'x' is no kind" } } }];
  const refused = await runCommand(['audit', '--url', url, '--kind', 'x']);
  expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("kind: 'x' is no kind") });
  expect((await runCommand(['audit', '--limit', 'many'])).code).toBe(2);
});

it('a stitching key in the place of the API key is noticed', async () => {
  const { code, err } = await runCommand(['audit', '--url', url, '--key', 'email:ann@x.org']);
  expect([code, asked.length]).toEqual([2, 0]);
  expect(err).toContain('--about email:ann@x.org');
});
