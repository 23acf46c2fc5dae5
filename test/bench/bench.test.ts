// The bench as a user runs it, as small as it goes: every figure is there, and nothing is left behind.
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BenchReport } from '../../infra/bench/report.ts';

const run = promisify(execFile);
const MAIN = join(import.meta.dirname, '../../dist/infra/cli/main.js');
const SMALL = ['--runs', '1', '--quick', '--profiles', '2000', '--events', '25000', '--duration', '1s'];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-bench-test-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

it('measures, tells it as a document, keeps profiles on request, and cleans up', {
  timeout: 120_000,
}, async () => {
  const work = await mkdtemp(join(folder, 'work-'));
  const out = join(folder, 'report.json');
  const only = ['--only', 'apply,http-batch,wait-commit'];
  const args = [MAIN, 'bench', ...only, ...SMALL, '--cpu-prof', '--json', '--out', out];
  const { stdout } = await run(process.execPath, args, { env: { ...process.env, TMPDIR: work } });
  const report = JSON.parse(stdout) as BenchReport;
  expect(JSON.parse(await readFile(out, 'utf8'))).toEqual(report);
  expect(report.scenarios.map(({ name, failures }) => [name, failures])).toEqual([
    ['apply', []],
    ['http-batch', []],
    ['wait-commit', []],
  ]);
  const figure = (caseName: string, name: string) =>
    report.scenarios.flatMap(({ cases }) => cases).find((one) => one.name === caseName)?.figures[name]
      ?.median;
  for (const name of ['apply uniform', 'apply zipf', 'http-batch'])
    expect(figure(name, 'events/s'), name).toBeGreaterThan(100);
  expect(figure('apply zipf', 'records/event')).toBeLessThan(1);
  expect(figure('http-batch', 'failed %')).toBe(0);
  expect(figure('wait-commit', 'committed %')).toBeGreaterThan(0);
  expect(report.machine.fdatasyncUs).toBeGreaterThan(0);
  expect(report.profiles.map(({ file }) => file)).toContain('apply-zipf-run1/worker-1.cpuprofile');
  for (const { summary } of report.profiles) expect(summary.busyMs).toBeGreaterThan(0);
  expect(await readdir(work)).toEqual([]);
});

it('refuses what it does not know, and a deployment that is not there', { timeout: 60_000 }, async () => {
  const failing = (args: readonly string[]) =>
    run(process.execPath, [MAIN, 'bench', ...args]).then(
      () => ({ code: 0, stderr: '' }),
      (error: { code: number; stderr: string }) => error,
    );
  const [unknown, local, nobody] = await Promise.all([
    failing(['--only', 'nonsense']),
    failing(['--url', 'http://127.0.0.1:9', '--only', 'takeover']),
    failing(['--url', 'http://127.0.0.1:9', '--only', 'http-single', ...SMALL]),
  ]);
  expect(unknown).toMatchObject({ code: 2 });
  expect(local).toMatchObject({ code: 2 });
  expect(local.stderr).toContain('known here: http-batch');
  expect(nobody).toMatchObject({ code: 1 });
  expect(nobody.stderr).toContain('no request succeeded');
});
