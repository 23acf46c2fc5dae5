// One scenario's own world: a nats-server in a fresh folder, a segment on it, roles as processes. Everything it starts is
// in its belongings, and `close` leaves nothing behind but the CPU profiles that were asked for.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SegmentNames, segmentNames } from '../../shared/contract/names.ts';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { describeTopology, ensureTopology } from '../../shared/nats/topology.ts';
import { type RoleChild, startRoleProcess } from '../cluster/role-process.ts';
import { resolveNatsServer } from '../nats-server/resolve.ts';
import { freePort, type NatsServerProcess, startNatsServer } from '../nats-server/start.ts';
import { packagePath } from '../package-root.ts';
import { loadSegmentFiles } from '../segment-files.ts';
import type { JobSegment, LoadJob } from './load/jobs.ts';
import { type RunningLoad, startLoad } from './load/load-process.ts';
import type { Ownership } from './ownership.ts';
import { type BenchContext, profileDirOf } from './scenario.ts';

export const BENCH_SHARDS = 64;
export const DEMO_CONFIG = 'infra/demo/shop.yaml';
const HOST = '127.0.0.1';
const WRITE_KEY = 'bench-write-key';
const ADMIN_KEY = 'bench-admin-key';

export interface RigOptions {
  /** Path within the package. */
  readonly config?: string;
  /** Text in the config, and what stands there instead. */
  readonly replace?: readonly [string, string];
  /** Name under which the CPU profiles of its roles are kept, when they are asked for. */
  readonly profiles?: string;
}

export interface BenchRole {
  readonly url: string;
  readonly pid: number;
  readonly id: string;
  /** From the spawn to the line that says it is ready. */
  readonly startMs: number;
  stop(): Promise<void>;
}

/** Starts the server and makes the segment. */
export async function openRig(context: BenchContext, options: RigOptions = {}): Promise<Rig> {
  const { path: binary } = await resolveNatsServer();
  const profileDir = options.profiles === undefined ? undefined : profileDirOf(context, options.profiles);
  // Made and owned in one step: an interruption in between would leave it behind.
  const folder = mkdtempSync(join(tmpdir(), 'stitchwork-bench-'));
  const configFile = configIn(folder, options);
  const rig = new Rig({ folder, binary, configFile, profileDir, ownership: context.ownership });
  try {
    await rig.open();
    return rig;
  } catch (error) {
    await rig.close();
    throw error;
  }
}

function configIn(folder: string, { config = DEMO_CONFIG, replace }: RigOptions): string {
  const shipped = packagePath(config);
  if (!replace) return shipped;
  const file = join(folder, 'segment.yaml');
  writeFileSync(file, readFileSync(shipped, 'utf8').replaceAll(...replace));
  return file;
}

interface RigParts {
  readonly folder: string;
  readonly binary: string;
  readonly configFile: string;
  readonly profileDir: string | undefined;
  readonly ownership: Ownership;
}

export class Rig {
  readonly writeKey = WRITE_KEY;
  readonly adminKey = ADMIN_KEY;
  /** Ends everything that was started and removes the folder. */
  readonly close: () => Promise<void>;
  readonly #parts: RigParts;
  readonly #roles = new Set<BenchRole>();
  readonly #loads = new Set<RunningLoad<LoadJob>>();
  #server: NatsServerProcess | undefined;
  #door: NatsDoor | undefined;
  #names: SegmentNames | undefined;
  /** What is just being started: it is waited for before everything is ended. */
  readonly #starting = new Set<Promise<unknown>>();
  #started = 0;
  #ended = false;

  constructor(parts: RigParts) {
    this.#parts = parts;
    this.close = parts.ownership.own(() => this.#end());
  }

  async open(): Promise<void> {
    await this.startServer();
    this.#door = await connectNats({ url: this.server.url, name: 'stitchwork bench' });
    const [source] = await loadSegmentFiles([this.#parts.configFile]);
    this.#names = segmentNames(source!.config.segment);
    await ensureTopology(this.door, describeTopology(this.names, { shards: BENCH_SHARDS }));
  }

  get server(): NatsServerProcess {
    return this.#server!;
  }

  /** The bench's own connection, for looking. */
  get door(): NatsDoor {
    return this.#door!;
  }

  get names(): SegmentNames {
    return this.#names!;
  }

  /** What a job needs to know of the segment. */
  get segment(): JobSegment {
    return { natsUrl: this.server.url, configFile: this.#parts.configFile, shards: BENCH_SHARDS };
  }

  /** Starts the server, or again after a kill, on its port and data. */
  async startServer(): Promise<void> {
    const port = this.#server?.port ?? (await freePort(HOST));
    const dataDir = join(this.#parts.folder, 'nats');
    const options = { binary: this.#parts.binary, dataDir, port, ownGroup: true };
    await this.#track(async () => {
      this.#server = await startNatsServer(options);
    });
  }

  async startWorker(): Promise<BenchRole> {
    return this.#track(() => this.#startRole('worker', []));
  }

  async startActivator(): Promise<BenchRole> {
    return this.#track(() => this.#startRole('activator', ['--allow-network', '127.0.0.0/8']));
  }

  async startGateway(): Promise<BenchRole> {
    return this.#track(() => this.#startRole('gateway', ['--host', HOST]));
  }

  /** Starts a load process that ends with the rig at the latest. */
  startLoad<Job extends LoadJob>(job: Job): RunningLoad<Job> {
    const load = startLoad(job);
    this.#loads.add(load as unknown as RunningLoad<LoadJob>);
    return load;
  }

  async #end(): Promise<void> {
    this.#ended = true;
    await Promise.allSettled(this.#starting);
    for (const load of this.#loads) load.end();
    await Promise.allSettled([...this.#roles].map((role) => role.stop()));
    await this.#door?.close().catch(() => {});
    await this.#server?.kill();
    await rm(this.#parts.folder, { recursive: true, force: true });
  }

  async #track<T>(start: () => Promise<T>): Promise<T> {
    if (this.#ended) throw new Error('interrupted');
    const starting = start();
    this.#starting.add(starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(starting);
    }
  }

  async #startRole(role: 'gateway' | 'worker' | 'activator', extra: readonly string[]): Promise<BenchRole> {
    const number = ++this.#started;
    const port = await freePort(HOST);
    const common = [
      '--config',
      this.#parts.configFile,
      '--nats-url',
      this.server.url,
      '--port',
      String(port),
    ];
    const startedMs = performance.now();
    const child = await startRoleProcess({
      role,
      args: [...common, '--shards', String(BENCH_SHARDS), '--log-level', 'warn', ...extra],
      nodeArgs: await this.#profileArgs(`${role}-${number}`),
      env: { ...inherited(), STITCHWORK_ADMIN_KEY: ADMIN_KEY, STITCHWORK_WRITE_KEY: WRITE_KEY },
      logFile: join(this.#parts.folder, `${role}-${number}.log`),
    });
    const startMs = performance.now() - startedMs;
    const started: BenchRole = {
      url: `http://${HOST}:${port}`,
      pid: child.pid,
      id: idIn(child),
      startMs,
      stop: async () => {
        this.#roles.delete(started);
        // One that was stopped by a signal must run again to hear that it shall end.
        resume(child.pid);
        await child.stop();
      },
    };
    this.#roles.add(started);
    return started;
  }

  async #profileArgs(name: string): Promise<readonly string[]> {
    if (this.#parts.profileDir === undefined) return [];
    await mkdir(this.#parts.profileDir, { recursive: true });
    return ['--cpu-prof', `--cpu-prof-dir=${this.#parts.profileDir}`, `--cpu-prof-name=${name}.cpuprofile`];
  }
}

/** A worker says its id when it is ready. */
function idIn({ told }: RoleChild): string {
  const ready = JSON.parse(told) as { readonly id?: string };
  return ready.id ?? '';
}

function resume(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // It has ended already.
  }
}

/** Settings of this process are not those of the roles, whose flags say everything. */
function inherited(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(STITCHWORK_|NATS_URL$)/.test(name)),
  );
}
