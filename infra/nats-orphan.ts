// A dev process that was killed leaves its nats-server behind, holding the data folder. Two servers on one store would
// damage it, so the next dev ends the one that was left, recognised by its pid and its command line.
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Clock, systemClock } from '../shared/kernel/clock.ts';
import { StitchworkError } from '../shared/kernel/errors.ts';

const FILE = 'nats-server.pid';
const POLL_MS = 20;
const TERM_WAIT_MS = 5000;
const KILL_WAIT_MS = 2000;

/** Notes which server holds a store folder. */
export function noteServer(storeDir: string, pid: number): void {
  mkdirSync(storeDir, { recursive: true });
  writeFileSync(join(storeDir, FILE), `${pid}\n`);
}

export function forgetServer(storeDir: string): void {
  rmSync(join(storeDir, FILE), { force: true });
}

/** Ends a server that was left on the folder. True when there was one. Throws when it cannot be ended. */
export async function endOrphan(storeDir: string, clock: Clock = systemClock): Promise<boolean> {
  const pid = notedPid(storeDir);
  if (pid === undefined || !(await holds(pid, storeDir))) return false;
  for (const [signal, waitMs] of [
    ['SIGTERM', TERM_WAIT_MS],
    ['SIGKILL', KILL_WAIT_MS],
  ] as const) {
    process.kill(pid, signal);
    const deadlineMs = clock.elapsedMs() + waitMs;
    while (clock.elapsedMs() < deadlineMs) {
      if (!(await holds(pid, storeDir))) return true;
      await clock.sleep(POLL_MS);
    }
  }
  throw new StitchworkError('LOG_UNAVAILABLE', `nats-server ${pid} still holds ${storeDir}: end it by hand`);
}

function notedPid(storeDir: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(storeDir, FILE), 'utf8'));
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the process is a server on this folder: pids are used again. */
async function holds(pid: number, storeDir: string): Promise<boolean> {
  const command = await commandOf(pid);
  return command?.includes(` -sd ${storeDir}`) ?? false;
}

async function commandOf(pid: number): Promise<string | undefined> {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    // No /proc on this system, or the process is gone.
  }
  try {
    return (await promisify(execFile)('ps', ['-o', 'args=', '-p', String(pid)])).stdout;
  } catch {
    return undefined;
  }
}
