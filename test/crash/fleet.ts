// The processes of the crash test: servers of some kind, gateways and workers, each on a port and in files of its own,
// killed and started again by the schedule of faults. A process that ends without being asked to is a finding.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../infra/nats-server/start.ts';
import type { CommitPhase } from '../../shared/ports/worker-telemetry.ts';
import type { Receiver } from './receiver.ts';

const ROOT = join(import.meta.dirname, '../..');
export const MAIN = join(ROOT, 'dist/infra/cli/main.js');
export const CONFIG = join(import.meta.dirname, 'crash-segment.yaml');
export const ADMIN_KEY = 'crash-admin-key';
export const WRITE_KEY = 'crash-write-key';
/** Short, so that the log is purged while it is under fire. */
const EVENTS_RETENTION = '10s';
const READY_DEADLINE_MS = 60_000;
const RESTART_MS = 200;
const PHASES: Readonly<Record<string, CommitPhase>> = {
  i: 'idle',
  d: 'deciding',
  c: 'committing',
  k: 'committed',
};

export type Role = 'gateway' | 'worker' | 'activator';

/** How a process ended: by our signal, by its own hook, as asked, or by itself. */
export interface End {
  readonly slot: string;
  readonly life: number;
  readonly how: 'killed' | 'crash-at' | 'asked' | 'start-failed' | 'unasked';
  readonly phase: CommitPhase | 'unknown';
  readonly detail: string;
}

interface Life {
  readonly child: ChildProcess;
  readonly number: number;
  readonly crashAt: string | undefined;
  ready: boolean;
  killed: boolean;
  asked: boolean;
  readonly ended: Promise<End>;
}

/** The NATS side of a fleet. */
export interface Servers {
  /** As `--nats-url` takes it. */
  readonly url: string;
  start(): Promise<void>;
  /** Ends everything, however it can. */
  destroy(): Promise<void>;
}

/** Where a process runs: the address it listens on, and a command that brings it there. */
export interface Spot {
  readonly host: string;
  readonly launcher: readonly string[];
}

export interface FleetOptions<S extends Servers> {
  readonly folder: string;
  readonly servers: S;
  readonly gateways: number;
  readonly workers: number;
  readonly activators?: number;
  /** Where activations are delivered to. */
  readonly receiver?: Receiver;
  /** Of the segment; the usual one unless given. */
  readonly configFile?: string;
  /** Flags of every process beside those that all fleets have. */
  readonly flags?: readonly string[];
  /** By name of the slot; this machine's own network unless given. */
  readonly spots?: Readonly<Record<string, Spot>>;
}

const HERE: Spot = { host: '127.0.0.1', launcher: [] };

/** One place for a process: same port and role over all its lives. */
export class Slot {
  readonly name: string;
  readonly role: Role;
  readonly port: number;
  readonly #spot: Spot;
  readonly #fleet: Fleet;
  /** Hook for the next life only. */
  #nextCrashAt: string | undefined;
  #lives = 0;
  #life: Life | undefined;
  #wanted = false;
  #crash: Promise<void> = Promise.resolve();
  #onCrash = () => {};

  constructor(fleet: Fleet, name: string, role: Role, port: number) {
    this.#fleet = fleet;
    this.#spot = fleet.spotOf(name);
    this.name = name;
    this.role = role;
    this.port = port;
  }

  get url(): string {
    return `http://${this.#spot.host}:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#life?.child.pid;
  }

  get ready(): boolean {
    return this.#life?.ready === true;
  }

  get phaseFile(): string {
    return join(this.#fleet.folder, `${this.name}.phase`);
  }

  /** Log of the newest life. */
  get lastLog(): string {
    return this.logFile(this.#lives);
  }

  logFile(life: number): string {
    return join(this.#fleet.folder, `${this.name}.${life}.log`);
  }

  /** Starts it, and again whenever it has ended, until `leave`. Resolves when it is ready. */
  async start(): Promise<void> {
    this.#wanted = true;
    if (!this.#life) this.#spawn();
    await this.untilReady();
  }

  /** Resolves when the present life, or a later one, answers that it is ready. */
  async untilReady(): Promise<void> {
    await until(`${this.name} is ready`, READY_DEADLINE_MS, async () => {
      this.#fleet.throwIfBroken();
      const life = this.#life;
      if (!life || !(await answers(`${this.url}/health/ready`))) return false;
      if (this.#life !== life) return false;
      life.ready = true;
      return true;
    });
  }

  /** kill -9 of a ready process; the next life gets the hook. */
  async kill(crashAtNext?: string): Promise<End> {
    const life = this.#live();
    this.#nextCrashAt = crashAtNext;
    this.#crash = new Promise((resolve) => {
      this.#onCrash = resolve;
    });
    life.killed = true;
    life.child.kill('SIGKILL');
    return life.ended;
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#live().child.kill(name);
  }

  /** Resolves when the hook of the last `kill` has ended a life; at once when it has already. */
  crashed(): Promise<void> {
    return this.#crash;
  }

  /** Asks it to stop and waits; it is not started again. */
  async leave(): Promise<End | undefined> {
    this.#wanted = false;
    const life = this.#life;
    if (!life) return undefined;
    life.asked = true;
    life.child.kill('SIGTERM');
    return life.ended;
  }

  /** Ends it however it can. */
  async destroy(): Promise<void> {
    this.#wanted = false;
    const life = this.#life;
    if (!life) return;
    life.killed = true;
    life.child.kill('SIGCONT');
    life.child.kill('SIGKILL');
    await life.ended;
  }

  #live(): Life {
    if (!this.#life) throw new Error(`${this.name} is not running`);
    return this.#life;
  }

  #spawn(): void {
    const number = ++this.#lives;
    const crashAt = this.#nextCrashAt;
    this.#nextCrashAt = undefined;
    const log = openSync(this.logFile(number), 'w');
    const command = [...this.#spot.launcher, process.execPath];
    const child = spawn(command[0]!, [...command.slice(1), ...this.#arguments()], {
      cwd: this.#fleet.folder,
      stdio: ['ignore', log, log],
      env: this.#environment(crashAt),
    });
    closeSync(log);
    const ended = new Promise<End>((resolve) => {
      child.once('exit', (code, signal) => resolve(this.#onExit(number, code, signal)));
    });
    this.#life = { child, number, crashAt, ready: false, killed: false, asked: false, ended };
  }

  #arguments(): string[] {
    const { servers, flags, configFile } = this.#fleet;
    const address = ['--host', this.#spot.host, '--port', String(this.port)];
    const common = ['--config', configFile, '--nats-url', servers.url, ...address, ...flags];
    if (this.role === 'activator') common.push('--allow-network', '127.0.0.0/8');
    return [MAIN, this.role, ...common, '--log-level', this.role === 'worker' ? 'trace' : 'debug'];
  }

  #environment(crashAt: string | undefined): Record<string, string> {
    return {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      STITCHWORK_ADMIN_KEY: ADMIN_KEY,
      STITCHWORK_WRITE_KEY: WRITE_KEY,
      STITCHWORK_EVENTS_RETENTION: EVENTS_RETENTION,
      ...(this.role === 'worker' && { STITCHWORK_TEST_PHASE_FILE: this.phaseFile }),
      ...(crashAt !== undefined && { STITCHWORK_TEST_CRASH_AT: crashAt }),
    };
  }

  #onExit(number: number, code: number | null, signal: NodeJS.Signals | null): End {
    const life = this.#life!;
    this.#life = undefined;
    const phase = this.role === 'worker' ? readPhase(this.phaseFile) : 'unknown';
    const detail = `exit ${code ?? signal}`;
    const end: End = { slot: this.name, life: number, how: howEnded(life, signal), phase, detail };
    this.#fleet.onEnd(end);
    if (end.how === 'crash-at') this.#onCrash();
    // A life that came not far enough for its hook hands it on.
    if (end.how === 'start-failed') this.#nextCrashAt ??= life.crashAt;
    if (this.#wanted) {
      setTimeout(() => {
        if (this.#wanted && !this.#life) this.#spawn();
      }, RESTART_MS);
    }
    return end;
  }
}

function howEnded(life: Life, signal: NodeJS.Signals | null): End['how'] {
  if (life.killed) return 'killed';
  if (life.asked) return 'asked';
  if (signal === 'SIGKILL' && life.crashAt !== undefined) return 'crash-at';
  return life.ready ? 'unasked' : 'start-failed';
}

export class Fleet<S extends Servers = Servers> {
  readonly folder: string;
  readonly servers: S;
  readonly flags: readonly string[];
  readonly ends: End[] = [];
  gateways: readonly Slot[] = [];
  workers: readonly Slot[] = [];
  activators: readonly Slot[] = [];
  readonly receiver: Receiver | undefined;
  readonly configFile: string;
  /** Joins and leaves all the time. */
  floater: Slot | undefined;
  readonly #options: FleetOptions<S>;
  #broken: unknown;

  constructor(options: FleetOptions<S>) {
    this.folder = options.folder;
    this.servers = options.servers;
    this.flags = options.flags ?? [];
    this.receiver = options.receiver;
    this.configFile = options.configFile ?? CONFIG;
    this.#options = options;
  }

  async start(): Promise<void> {
    if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing: npm run build`);
    await this.servers.start();
    this.gateways = await this.#slots('gateway', this.#options.gateways);
    this.workers = await this.#slots('worker', this.#options.workers);
    this.activators = await this.#slots('activator', this.#options.activators ?? 0);
    [this.floater] = await this.#slots('worker', 1, 'floater');
    // The first one makes the streams; the others find them.
    await this.gateways[0]!.start();
    await Promise.all([...this.gateways, ...this.workers, ...this.activators].map((slot) => slot.start()));
  }

  spotOf(name: string): Spot {
    return this.#options.spots?.[name] ?? HERE;
  }

  get slots(): readonly Slot[] {
    return [...this.gateways, ...this.workers, ...this.activators, ...(this.floater ? [this.floater] : [])];
  }

  onEnd(end: End): void {
    this.ends.push(end);
    if (end.how === 'unasked') this.#broken ??= new Error(`${end.slot} ended by itself: ${end.detail}`);
  }

  /** Throws when a process has ended that nobody killed or asked to stop. */
  throwIfBroken(): void {
    if (this.#broken) throw this.#broken;
  }

  async destroy(): Promise<void> {
    await Promise.all(this.slots.map((slot) => slot.destroy()));
    await this.servers.destroy();
    await this.receiver?.close();
  }

  async #slots(role: Role, count: number, name: string = role): Promise<Slot[]> {
    const slots: Slot[] = [];
    for (let i = 0; i < count; i++)
      slots.push(new Slot(this, `${name}-${i}`, role, await freePort(HERE.host)));
    return slots;
  }
}

/** The step in which the process was, or is. */
export function readPhase(file: string): CommitPhase | 'unknown' {
  if (!existsSync(file)) return 'unknown';
  const handle = openSync(file, 'r');
  try {
    const byte = Buffer.alloc(1);
    return readSync(handle, byte, 0, 1, 0) === 1 ? (PHASES[byte.toString('latin1')] ?? 'unknown') : 'unknown';
  } finally {
    closeSync(handle);
  }
}

/** The end of a log, for the message of a failure. */
export function tailOf(file: string, lines = 15): string {
  if (!existsSync(file)) return '(no log)';
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

/** Repeats a look until it says yes. Throws with `what` when it does not within the deadline. */
export async function until(
  what: string,
  deadlineMs: number,
  look: () => Promise<boolean>,
  everyMs = 50,
): Promise<void> {
  const endMs = Date.now() + deadlineMs;
  while (!(await look())) {
    if (Date.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
