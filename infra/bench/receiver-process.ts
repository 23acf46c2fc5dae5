// The receiver of a bench as a child process.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { packagePath } from '../package-root.ts';
import type { ReceiverResult } from './load/receiver.ts';
import type { Ownership } from './ownership.ts';

export interface RunningReceiver {
  readonly url: string;
  /** Different activations that have come. */
  count(): Promise<number>;
  /** Ends it. */
  finish(): Promise<ReceiverResult>;
  close(): Promise<void>;
}

export async function startReceiver(ownership: Ownership): Promise<RunningReceiver> {
  const child = spawn(process.execPath, [packagePath('dist/infra/bench/load/receiver.js')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const close = ownership.own(() => end(child));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => String((await lines.next()).value ?? '');
  const url = `http://127.0.0.1:${await line()}/hook`;
  return {
    url,
    close,
    async count() {
      child.stdin.write('.\n');
      return Number(await line());
    },
    async finish() {
      child.stdin.end();
      return JSON.parse(await line()) as ReceiverResult;
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
