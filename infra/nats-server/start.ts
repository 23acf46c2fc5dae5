// A nats-server child process with the project's nats.conf: started on a free port, ready when it answers, stopped or
// killed by the caller.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { packagePath } from '../package-root.ts';

export interface StartOptions {
  readonly binary: string;
  readonly dataDir: string;
  /** 0 or absent: a free one. */
  readonly port?: number;
  readonly host?: string;
  /** nats.conf of the package unless given. */
  readonly configFile?: string;
  /** In a process group of its own, so that Ctrl-C on a terminal reaches the owner only, who then stops it in order. */
  readonly ownGroup?: boolean;
  /** A command that runs the server, such as one that enters a network namespace first. */
  readonly launcher?: readonly string[];
}

export interface NatsServerProcess {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** SIGTERM; SIGKILL when it does not end in time. */
  stop(): Promise<void>;
  /** SIGKILL, and wait for the end. */
  kill(): Promise<void>;
  /** Resolves with the exit code, null when a signal ended it. */
  readonly exited: Promise<number | null>;
}

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;
const LOG_TAIL = 4000;

/** Starts the server and waits until it takes connections. Rejects with its last output when it ends instead. */
export async function startNatsServer(options: StartOptions): Promise<NatsServerProcess> {
  const host = options.host ?? '127.0.0.1';
  const port = options.port || (await freePort(host));
  await mkdir(options.dataDir, { recursive: true });
  const config = options.configFile ?? packagePath('nats.conf');
  const command = [...(options.launcher ?? []), options.binary];
  const args = ['-c', config, '-a', host, '-p', String(port), '-sd', options.dataDir];
  const child = spawn(command[0]!, [...command.slice(1), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: options.ownGroup === true,
  });
  let tail = '';
  const keep = (chunk: Buffer) => {
    tail = (tail + chunk.toString()).slice(-LOG_TAIL);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => resolve(code));
    child.once('error', () => resolve(null));
  });
  await untilReady(host, port, exited, () => tail);
  return {
    url: `nats://${host}:${port}`,
    port,
    pid: child.pid!,
    exited,
    stop: () => end(child, exited, 'SIGTERM'),
    kill: () => end(child, exited, 'SIGKILL'),
  };
}

async function end(child: ChildProcess, exited: Promise<unknown>, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

async function untilReady(
  host: string,
  port: number,
  exited: Promise<unknown>,
  tail: () => string,
): Promise<void> {
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline && !ended) {
    if (await answers(host, port)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const what = ended ? 'ended at once' : `did not answer within ${READY_TIMEOUT_MS} ms`;
  throw new StitchworkError('LOG_UNAVAILABLE', `nats-server ${what}: ${tail()}`);
}

/** Whether a NATS greeting comes: the server sends it as soon as it serves clients. */
function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port, timeout: 1000 });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', (chunk) => done(chunk.toString().startsWith('INFO')));
    socket.once('error', () => done(false));
    socket.once('timeout', () => done(false));
  });
}

/** A port that nobody listens on now. */
export async function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
