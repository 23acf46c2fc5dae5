// A gateway or worker as a child process of the command line: ready when it says so on stdout, its log in a file.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { packagePath } from '../package-root.ts';
import type { RunningChild } from './supervised.ts';

export interface RoleProcessOptions {
  readonly role: 'gateway' | 'worker' | 'batch' | 'activator';
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
  /** Flags of Node itself. */
  readonly nodeArgs?: readonly string[];
}

export interface RoleChild extends RunningChild {
  /** The line by which it said that it is ready: a JSON document. */
  readonly told: string;
}

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 25_000;
const LOG_TAIL = 2000;

/** Starts it and waits until it is ready. Throws with the end of its log when it ends instead. */
export async function startRoleProcess(options: RoleProcessOptions): Promise<RoleChild> {
  const log = openSync(options.logFile, 'a');
  const command = [packagePath('dist/infra/cli/main.js'), options.role, ...options.args, '--json'];
  const args = [...(options.nodeArgs ?? []), ...command];
  // A process group of its own: Ctrl-C reaches the owner, who stops everything in order.
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', log],
    env: options.env,
    detached: true,
  });
  closeSync(log);
  const exited = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(String(code ?? signal)));
    child.once('error', (error) => resolve(error.message));
  });
  const stop = () => end(child, exited);
  const ready = new Promise<string | undefined>((resolve) => {
    createInterface({ input: child.stdout! }).once('line', resolve);
    void exited.then(() => resolve(undefined));
    setTimeout(() => resolve(undefined), READY_TIMEOUT_MS).unref();
  });
  const told = await ready;
  if (told === undefined) {
    await stop();
    const tail = readFileSync(options.logFile, 'utf8').slice(-LOG_TAIL);
    throw new StitchworkError('NOT_READY', `the ${options.role} did not start: ${tail}`);
  }
  return { pid: child.pid!, exited, stop, told };
}

async function end(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}
