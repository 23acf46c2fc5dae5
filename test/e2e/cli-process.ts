// Runs the compiled command line as child processes, as a user would.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'dist/infra/cli/main.js');

export interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** Resolves with the first line on stdout that the test accepts; rejects when the process ends before. */
  line(accept?: (line: string) => boolean): Promise<string>;
  readonly finished: Promise<Finished>;
}

/** `npm test` builds first; a run of one test file alone builds when there is nothing yet. */
export function ensureBuilt(): void {
  if (!existsSync(MAIN)) execFileSync('npm', ['run', '-s', 'build'], { cwd: ROOT, stdio: 'inherit' });
}

/** Starts a command; nothing of this process's own settings leaks into it. */
export function startCli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(STITCHWORK_|NATS_URL$)/.test(name)),
  );
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: ROOT,
    env: { ...clean, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  let err = '';
  let ended = false;
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    for (const wake of waiting) wake();
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    err += chunk;
  });
  const finished = new Promise<Finished>((resolve) => {
    child.once('close', (code) => {
      ended = true;
      resolve({ code, out: lines.join('\n'), err });
      for (const wake of waiting) wake();
    });
  });
  return {
    child,
    finished,
    line: (accept = () => true) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find(accept);
          if (found === undefined && !ended) return;
          waiting.delete(look);
          if (found === undefined) reject(new Error(`ended without the line; stderr:\n${err}`));
          else resolve(found);
        };
        waiting.add(look);
        look();
      }),
  };
}

/** Runs a command to its end. */
export function runCliProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  return startCli(args, env).finished;
}

/** Asks again until the answer is accepted; fails with the last answer when the time is up. */
export async function eventually<T>(
  ask: () => Promise<T>,
  accept: (answer: T) => boolean,
  withinMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (accept(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms; last: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
