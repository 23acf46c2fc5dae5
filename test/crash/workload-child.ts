// Starts the clients as a process of their own. Node 20 runs no TypeScript, so that the few files are compiled first.
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkloadOptions, WorkloadStats } from './workload.ts';

const ROOT = join(import.meta.dirname, '../..');

export interface WorkloadChild {
  /** Lets the clients finish what they have begun. Resolves with their stats when all of it is accepted. */
  finish(): Promise<WorkloadStats>;
  /** Lets the clients pause, or go on. */
  hold(held: boolean): void;
  /** Rejects when the process ends without being asked to. */
  readonly broken: Promise<never>;
  kill(): void;
}

/** Compiles into `folder` and starts. */
export function startWorkload(folder: string, options: WorkloadOptions): WorkloadChild {
  const out = join(folder, 'workload');
  compile(out);
  const child = fork(join(out, 'test/crash/workload-process.js'), [JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
  });
  return watch(child);
}

function compile(out: string): void {
  const source = join(ROOT, 'test/crash/workload-process.ts');
  const flags = ['--target', 'es2022', '--module', 'nodenext', '--types', 'node', '--skipLibCheck'];
  const emit = ['--rewriteRelativeImportExtensions', '--rootDir', ROOT, '--outDir', out];
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '--ignoreConfig', ...flags, ...emit, source], { cwd: ROOT });
  writeFileSync(join(out, 'package.json'), '{"type":"module"}');
}

function watch(child: ChildProcess): WorkloadChild {
  const stats = new Promise<WorkloadStats>((resolve) => {
    child.once('message', (message) => resolve(message as WorkloadStats));
  });
  let done = false;
  const broken = new Promise<never>((_resolve, reject) => {
    child.once('exit', (code, signal) => {
      if (!done) reject(new Error(`the clients' process ended with ${code ?? signal}`));
    });
  });
  broken.catch(() => {});
  return {
    async finish() {
      child.send('stop');
      const result = await Promise.race([stats, broken]);
      done = true;
      return result;
    },
    hold(held) {
      if (child.connected) child.send(held ? 'hold' : 'go');
    },
    broken,
    kill: () => void child.kill('SIGKILL'),
  };
}
