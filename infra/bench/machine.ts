// Where the figures come from: machine, what a sync of its disk costs, versions, revision.
import { execFile } from 'node:child_process';
import { open, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { resolveNatsServer } from '../nats-server/resolve.ts';
import { packageRoot, packageVersion } from '../package-root.ts';
import { spreadOf } from './statistics.ts';

const run = promisify(execFile);
const SYNCS = 200;
const SYNC_BYTES = 4096;

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  /** Median of writing 4 kB and syncing them, in the folder that the bench works in. */
  readonly fdatasyncUs: number;
  /** Of the last minute, before the bench began: what else was running. */
  readonly loadBefore: number;
  readonly node: string;
  readonly natsServer: string;
  readonly stitchwork: string;
  /** Git revision, with `+` when files differ from it; undefined outside of a checkout. */
  readonly revision: string | undefined;
  readonly startedAt: string;
}

export async function describeMachine(): Promise<Machine> {
  const all = cpus();
  const { version } = await resolveNatsServer();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    fdatasyncUs: Math.round(await measureSync(tmpdir())),
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    node: process.versions.node,
    natsServer: version,
    stitchwork: packageVersion(),
    revision: await revisionOf(packageRoot()),
    startedAt: new Date().toISOString(),
  };
}

async function measureSync(folder: string): Promise<number> {
  const path = join(folder, `stitchwork-bench-sync-${process.pid}`);
  const file = await open(path, 'w');
  try {
    const block = Buffer.alloc(SYNC_BYTES, 7);
    const times: number[] = [];
    for (let i = 0; i < SYNCS; i++) {
      const startMs = performance.now();
      await file.write(block);
      await file.datasync();
      times.push((performance.now() - startMs) * 1000);
    }
    return spreadOf(times).median;
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

async function revisionOf(folder: string): Promise<string | undefined> {
  try {
    const { stdout: revision } = await run('git', ['rev-parse', '--short', 'HEAD'], { cwd: folder });
    const { stdout: changes } = await run('git', ['status', '--porcelain'], { cwd: folder });
    return `${revision.trim()}${changes.trim() === '' ? '' : '+'}`;
  } catch {
    // No checkout, or no git: there is no revision to tell.
    return undefined;
  }
}
