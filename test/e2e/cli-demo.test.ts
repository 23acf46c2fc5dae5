// The demo from the outside: it tells its story, its totals equal the independent count, and nothing is left behind.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureBuilt, runCliProcess } from './cli-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-demo-test-'));
beforeAll(ensureBuilt);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('ends well and cleans up', { timeout: 120_000 }, async () => {
  const { code, out, err } = await runCliProcess(['demo'], { TMPDIR: folder });
  expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' });
  for (const part of [
    '24,849 events',
    'events/s',
    'merges left',
    'The life of customer',
    'vip_welcome',
    'A visitor comes back',
    'Gold, ',
    'activation welcome_back {"tier":"Gold"',
    'All equal.',
  ]) {
    expect(out).toContain(part);
  }
  expect(readdirSync(folder)).toEqual([]);
});
