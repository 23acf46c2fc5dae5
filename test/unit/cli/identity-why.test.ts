// `stitchwork identity why` against a gateway of the test's own: what it asks, and how it tells each kind of answer.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCommand } from './run.ts';

const P1 = '0192f7c1-5f0e-7cc2-8d7e-00000000000a';
const P2 = '0192f7c1-5f0e-7cc2-8d7e-00000000000b';
const AT = '2026-11-22T10:15:00.000Z';
const email = { name: 'email', value: 'ann@x.org' };
const device = { name: 'device', value: 'd1' };
const customer = { name: 'customer_id', value: 'c\u001b1' };

let server: Server;
let url: string;
let asked: string[];
let answer: object;

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request.url!);
    response.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

async function why(told: object, ...flags: string[]): Promise<readonly string[]> {
  asked = [];
  answer = told;
  const ran = await runCommand([
    'identity',
    'why',
    'email:ann@x.org',
    'device:a b:c',
    '--url',
    url,
    ...flags,
  ]);
  expect(ran.code, ran.err).toBe(0);
  return ran.out.split('\n');
}

it('tells the chain of one profile', async () => {
  const lines = await why({
    one: true,
    keys: [
      { ...email, profileId: P1 },
      { ...device, profileId: P1 },
    ],
    chain: [
      { from: email, to: customer, by: 'event', messageId: 'm1', at: AT },
      { from: customer, to: { profileId: P2 }, by: 'attached', messageId: 'm2', at: AT },
      { from: { profileId: P2 }, to: { profileId: P1 }, by: 'merged_by_hand', messageId: 'job', at: AT },
      { from: { profileId: P1 }, to: device, by: 'held' },
    ],
    audit: { scanned: 7, complete: false, reachesBackTo: AT },
  });
  expect(asked).toEqual(['/v1/profiles/email/ann%40x.org/identity?with=device%3Aa%20b%3Ac']);
  expect(lines).toEqual([
    `email:ann@x.org and device:d1 are one profile: ${P1}`,
    `  email:ann@x.org named together with customer_id:c\\u001b1 by an event (m1, ${AT})`,
    `  customer_id:c\\u001b1 came to profile …00000000000b by an event (m2, ${AT})`,
    `  profile …00000000000b was made one with profile …00000000000a by hand (job, ${AT})`,
    '  profile …00000000000a holds device:d1',
    `7 entries of the audit log were looked at, back to ${AT}; there is more of it, that was not looked at`,
  ]);
});

it('tells what keeps two apart', async () => {
  const refusal = { kind: 'link_refused', key: device, reason: 'limit', heldBy: P2 };
  const told = {
    one: false,
    keys: [
      { ...email, profileId: P1 },
      { ...device, profileId: null },
    ],
    because: ['refused', 'limit', 'key_of_nobody'],
    refusals: [{ ...refusal, at: AT, messageId: 'm2' }],
    partings: [],
    limits: [{ reason: 'limit', detail: 'limit of 1 customer_id a profile' }],
    ifNamedNow: { joined: false, facts: [refusal] },
    audit: { scanned: 3, complete: true },
  };
  expect(await why(told)).toEqual([
    'email:ann@x.org and device:d1 are not one profile',
    `  email:ann@x.org is of ${P1}`,
    '  device:d1 is of nobody',
    'because events that named both were refused',
    'because together they would break a limit',
    'because one of the keys is on no profile',
    `  ${AT} link refused device:d1 held by …00000000000b (limit), message m2`,
    '  limit of 1 customer_id a profile',
    'an event that names both now would not make them one',
    '  link refused device:d1 held by …00000000000b (limit)',
    '3 entries of the audit log were looked at',
  ]);
  expect(JSON.parse((await why(told, '--json'))[0]!)).toEqual(told);
});

it('what is no key is noticed before anybody is asked', async () => {
  asked = [];
  for (const [a, b] of [
    ['email', 'device:d1'],
    ['email:a', ':d1'],
    ['email:', 'device:d1'],
  ] as const) {
    const { code, err } = await runCommand(['identity', 'why', a, b, '--url', url]);
    expect([code, asked.length]).toEqual([2, 0]);
    expect(err).toContain('give name:value');
  }
});
