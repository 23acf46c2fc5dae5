// A job that is a module, in a thread of its own: what it computes cannot stop the process, its memory has a limit, and it ends
// when its time is over, whatever it does. Its queries and rows go back and forth some at a time.
//
//   export async function* run({ query, stream, params, key, now, scheduled, through, log }) { yield rows }
import { resolve as resolvePath } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { errorText, StitchworkError } from '../../shared/kernel/errors.ts';
import type { SqlParams } from './run-sql.ts';

export interface ModuleDeps {
  readonly path: string;
  readonly memoryBytes: number;
  readonly params: SqlParams;
  /** Rows of a query, some at a time. */
  readonly query: (
    sql: string,
    params: SqlParams,
  ) => AsyncIterable<readonly Readonly<Record<string, unknown>>[]>;
  readonly log: (text: string) => void;
  readonly signal: AbortSignal;
}

/** Runs inside the thread. It speaks with the process by messages alone. */
const THREAD = `
const { parentPort, workerData } = require('node:worker_threads');
const waiting = new Map();
let queries = 0;
let wanted;
const call = (message) => new Promise((resolve, reject) => {
  waiting.set(message.id, { resolve, reject });
  parentPort.postMessage(message);
});
parentPort.on('message', (message) => {
  if (message.kind === 'next') return wanted?.();
  const { resolve, reject } = waiting.get(message.id);
  waiting.delete(message.id);
  if (message.error === undefined) resolve(message.rows);
  else reject(new Error(message.error));
});
async function* stream(sql, params = {}) {
  const id = ++queries;
  let rows = await call({ kind: 'query', id, sql, params });
  try {
    for (; rows; rows = await call({ kind: 'more', id })) for (const row of rows) yield row;
  } finally {
    parentPort.postMessage({ kind: 'close', id });
  }
}
async function query(sql, params) {
  const all = [];
  for await (const row of stream(sql, params)) all.push(row);
  return all;
}
const give = (rows) => new Promise((resolve) => {
  wanted = resolve;
  parentPort.postMessage({ kind: 'rows', rows });
});
const log = (...parts) => parentPort.postMessage({ kind: 'log', text: parts.map(String).join(' ') });
(async () => {
  const { run } = await import(workerData.url);
  if (typeof run !== 'function') throw new Error('the module exports no function run');
  const { now, scheduled, through, key, ...params } = workerData.params;
  const made = await run({ query, stream, log, now, scheduled, through, key, params });
  let part = [];
  if (made == null || (!made[Symbol.asyncIterator] && !made[Symbol.iterator]))
    throw new Error('run must give rows: an array, or yield one after another');
  for await (const row of made) {
    if (part.push(row) < 1000) continue;
    await give(part);
    part = [];
  }
  if (part.length > 0) await give(part);
})().then(
  () => parentPort.postMessage({ kind: 'done' }),
  (error) => parentPort.postMessage({ kind: 'failed', error: String(error?.stack ?? error) }),
);
`;

type FromThread =
  | { readonly kind: 'query'; readonly id: number; readonly sql: string; readonly params: SqlParams }
  | { readonly kind: 'more' | 'close'; readonly id: number }
  | { readonly kind: 'rows'; readonly rows: readonly Readonly<Record<string, unknown>>[] }
  | { readonly kind: 'log'; readonly text: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: string };

/** Rows of the module, some at a time. Throws what it throws, and BAD_REQUEST for a file that cannot be run here. */
export async function* runModule(
  deps: ModuleDeps,
): AsyncGenerator<readonly Readonly<Record<string, unknown>>[]> {
  const { signal } = deps;
  signal.throwIfAborted();
  const thread = new Worker(THREAD, {
    eval: true,
    env: {},
    execArgv: executionFlags(deps.path),
    workerData: { url: pathToFileURL(resolvePath(deps.path)).href, params: deps.params },
    resourceLimits: { maxOldGenerationSizeMb: Math.max(32, Math.floor(deps.memoryBytes / 1_000_000)) },
  });
  const inbox = new Inbox(thread, signal);
  const queries = new Map<number, AsyncIterator<readonly Readonly<Record<string, unknown>>[]>>();
  try {
    for (;;) {
      const message = await inbox.next();
      if (message.kind === 'done') return;
      if (message.kind === 'failed') throw new Error(message.error);
      if (message.kind === 'log') deps.log(message.text);
      else if (message.kind === 'rows') {
        yield message.rows;
        thread.postMessage({ kind: 'next' });
      } else await answer(thread, queries, message, deps);
    }
  } finally {
    await thread.terminate();
    for (const each of queries.values()) await each.return?.();
  }
}

async function answer(
  thread: Worker,
  queries: Map<number, AsyncIterator<readonly Readonly<Record<string, unknown>>[]>>,
  message: Extract<FromThread, { readonly id: number }>,
  deps: ModuleDeps,
): Promise<void> {
  const { id } = message;
  if (message.kind === 'close') {
    await queries.get(id)?.return?.();
    queries.delete(id);
    return;
  }
  try {
    if (message.kind === 'query')
      queries.set(id, deps.query(message.sql, { ...deps.params, ...message.params })[Symbol.asyncIterator]());
    const part = await queries.get(id)?.next();
    thread.postMessage({ id, rows: part && !part.done ? part.value : undefined });
  } catch (error) {
    deps.signal.throwIfAborted();
    thread.postMessage({ id, error: errorText(error) });
  }
}

/** Types are stripped by Node itself, from 22.6 on. */
function executionFlags(path: string): string[] {
  if (!path.endsWith('.ts')) return [];
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 6)) return ['--experimental-strip-types', '--no-warnings'];
  throw new StitchworkError(
    'BAD_REQUEST',
    `Node ${process.versions.node} does not run TypeScript: use 22.6 or newer, or compile the job to .mjs`,
  );
}

/** Messages of a thread one after another; its end and the signal are errors. */
class Inbox {
  readonly #messages: FromThread[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake = () => {};

  constructor(thread: Worker, signal: AbortSignal) {
    const fail = (error: unknown) => {
      this.#failure ??= { error };
      this.#wake();
    };
    thread.on('message', (message: FromThread) => {
      this.#messages.push(message);
      this.#wake();
    });
    thread.on('error', fail);
    thread.on('exit', (code) => fail(new Error(`the module ended its thread with code ${code}`)));
    const abort = () => {
      this.#messages.length = 0;
      fail(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
  }

  async next(): Promise<FromThread> {
    for (;;) {
      if (this.#failure && this.#messages.length === 0) throw this.#failure.error;
      const message = this.#messages.shift();
      if (message) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
