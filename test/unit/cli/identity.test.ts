// `identity simulate` on a file: no server, every decision with its reason.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCommand } from './run.ts';

let folder: string;
let events: string;
const CONFIG = 'infra/demo/shop.yaml';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'stitchwork-identity-'));
  events = join(folder, 'events.ndjson');
  const lines = [
    { messageId: 'a', name: 'v', keys: { cookie: 'k1', customer_id: 'c1' } },
    { messageId: 'b', name: 'v', keys: { cookie: 'k1', customer_id: 'c2' } },
  ];
  writeFileSync(events, `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('prints a line an event, and the profiles at the end', async () => {
  const { code, out } = await runCommand(['identity', 'simulate', events, '--config', CONFIG]);
  expect(code).toBe(0);
  expect(out).toMatch(/1 {2}v \(a\) -> …\w+: profile added; key attached customer_id:c1/);
  expect(out).toMatch(
    /2 {2}v \(b\) -> …\w+: .*link refused cookie:k1 held by …\w+ \(limit: limit of 1 customer_id/,
  );
  expect(out).toMatch(/2 profiles\n.*customer_id:c2\n|2 profiles\n.*customer_id:c1/);
});

it('as JSON: a document an event, then one of the profiles', async () => {
  const { code, out } = await runCommand(['identity', 'simulate', events, '-c', CONFIG, '--json']);
  expect(code).toBe(0);
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event?: { messageId: string }; profiles?: readonly unknown[] });
  expect(lines.map(({ event }) => event?.messageId)).toEqual(['a', 'b', undefined]);
  expect(lines.at(-1)?.profiles).toHaveLength(2);
});

it('goes on over lines that are no events, and says so with exit 5', async () => {
  const broken = join(folder, 'broken.ndjson');
  writeFileSync(broken, '{"name":"v"}\n\n{"name":"v","keys":{"cookie":"k1"}}\n');
  const { code, out, err } = await runCommand(['identity', 'simulate', broken, '-c', CONFIG]);
  expect(code).toBe(5);
  expect(err).toContain('line 1: NO_KEYS');
  expect(out).toContain('1 profile');
});

it('needs a config, and lines of JSON', async () => {
  expect(await runCommand(['identity', 'simulate', events])).toMatchObject({ code: 2, out: '' });
  const broken = join(folder, 'no.json');
  writeFileSync(broken, 'name: v\n');
  const { code, err } = await runCommand(['identity', 'simulate', broken, '-c', CONFIG]);
  expect([code, err]).toEqual([1, expect.stringContaining('line 1 is not JSON')]);
});
