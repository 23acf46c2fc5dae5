// A NATS cluster of local processes: each node with a folder, ports and a config file of its own, which includes the
// project's nats.conf. A node can be ended in any way and started again with its data and its place.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { freePort, type NatsServerProcess, startNatsServer } from '../nats-server/start.ts';
import { packagePath } from '../package-root.ts';

/** Where a node runs. */
export interface NodePlace {
  readonly host: string;
  /** A command that runs a process at this place; none for this machine's own network. */
  readonly launcher: readonly string[];
}

export interface ClusterOptions {
  readonly binary: string;
  readonly folder: string;
  /** One a node. */
  readonly places: readonly NodePlace[];
  /** Ports for clients, one a node; free ones unless given. */
  readonly ports?: readonly number[];
}

export interface NatsCluster {
  readonly nodes: readonly ClusterNode[];
  /** The client URLs of all nodes, as `--nats-url` takes them. */
  readonly url: string;
  /** Starts all nodes and resolves when streams can be made on every one of them. */
  start(): Promise<void>;
  /** Resolves when every node is in the cluster and has caught up. */
  untilWhole(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

interface Ports {
  readonly client: number;
  readonly route: number;
  readonly monitor: number;
}

const CLUSTER_NAME = 'stitchwork';
const WHOLE_TIMEOUT_MS = 60_000;
const LOOK_MS = 100;
const LOOK_TIMEOUT_MS = 2000;
/** A route that gives no answer is closed after this many pings, so that a node that is cut off is noticed in seconds. */
const ROUTE_PING = '2s';
/** Before a node in lame duck mode begins to send its clients away; the server's default is ten seconds. */
const LAME_DUCK_GRACE = '1s';

/** One server, over all its lives. */
export class ClusterNode {
  readonly name: string;
  readonly place: NodePlace;
  readonly #binary: string;
  readonly #folder: string;
  readonly #ports: Ports;
  #server: NatsServerProcess | undefined;

  constructor(name: string, place: NodePlace, options: { binary: string; folder: string; ports: Ports }) {
    this.name = name;
    this.place = place;
    this.#binary = options.binary;
    this.#folder = options.folder;
    this.#ports = options.ports;
  }

  get url(): string {
    return `nats://${this.place.host}:${this.#ports.client}`;
  }

  get routeUrl(): string {
    return `nats://${this.place.host}:${this.#ports.route}`;
  }

  get monitorUrl(): string {
    return `http://${this.place.host}:${this.#ports.monitor}`;
  }

  get running(): boolean {
    return this.#server !== undefined;
  }

  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** Resolves when it takes connections. */
  async start(): Promise<NatsServerProcess> {
    const server = await startNatsServer({
      binary: this.#binary,
      dataDir: join(this.#folder, this.name),
      port: this.#ports.client,
      host: this.place.host,
      configFile: this.configFile,
      ownGroup: true,
      launcher: this.place.launcher,
    });
    this.#server = server;
    void server.exited.then(() => {
      if (this.#server === server) this.#server = undefined;
    });
    return server;
  }

  get configFile(): string {
    return join(this.#folder, `${this.name}.conf`);
  }

  async writeConfig(routes: readonly string[]): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const { host } = this.place;
    const lines = [
      `include ${JSON.stringify(relative(dirname(this.configFile), packagePath('nats.conf')))}`,
      `server_name: ${this.name}`,
      `http: ${JSON.stringify(`${host}:${this.#ports.monitor}`)}`,
      `lame_duck_grace_period: ${LAME_DUCK_GRACE}`,
      'cluster {',
      `  name: ${CLUSTER_NAME}`,
      `  listen: ${JSON.stringify(`${host}:${this.#ports.route}`)}`,
      `  ping_interval: ${ROUTE_PING}`,
      `  routes: ${JSON.stringify(routes)}`,
      '}',
    ];
    await writeFile(this.configFile, `${lines.join('\n')}\n`);
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#server?.kill();
  }

  signal(name: NodeJS.Signals): void {
    if (this.#server) process.kill(this.#server.pid, name);
  }

  /** Hands leadership over, sends clients away, ends. Resolves when it has ended. */
  async drain(): Promise<void> {
    const server = this.#server;
    this.signal('SIGUSR2');
    await server?.exited;
  }

  /** Whether this node says that it serves clients and streams, and has caught up with the others. */
  async isHealthy(): Promise<boolean> {
    return (await this.#look('/healthz'))?.status === 'ok';
  }

  /** How many other nodes are in the cluster and up to date, when this node leads it; else undefined. */
  async followers(): Promise<number | undefined> {
    const answer = (await this.#look('/jsz')) as { meta_cluster?: MetaCluster } | undefined;
    const meta = answer?.meta_cluster;
    if (meta?.leader !== this.name) return undefined;
    return (meta.replicas ?? []).filter(({ current, offline }) => current && !offline).length;
  }

  async #look(path: string): Promise<Record<string, unknown> | undefined> {
    try {
      const signal = AbortSignal.timeout(LOOK_TIMEOUT_MS);
      const response = await fetch(`${this.monitorUrl}${path}`, { signal });
      return (await response.json()) as Record<string, unknown>;
    } catch {
      // Not there, or cut off: it says nothing.
      return undefined;
    }
  }
}

interface MetaCluster {
  readonly leader?: string;
  readonly replicas?: readonly { readonly current: boolean; readonly offline?: boolean }[];
}

/** Chooses ports and writes the config files; nothing runs yet. */
export async function createNatsCluster(options: ClusterOptions): Promise<NatsCluster> {
  const { binary, folder, places } = options;
  const nodes: ClusterNode[] = [];
  const taken = new Set<number>(options.ports);
  for (const [index, place] of places.entries()) {
    const port = () => unusedPort(place, taken);
    const client = options.ports?.[index] ?? (await port());
    const ports = { client, route: await port(), monitor: await port() };
    nodes.push(new ClusterNode(`node-${index + 1}`, place, { binary, folder, ports }));
  }
  for (const node of nodes) {
    await node.writeConfig(nodes.filter((other) => other !== node).map(({ routeUrl }) => routeUrl));
  }
  const each = async (act: (node: ClusterNode) => Promise<unknown>) =>
    void (await Promise.all(nodes.map(act)));
  return {
    nodes,
    url: nodes.map(({ url }) => url).join(','),
    async start() {
      await each((node) => node.start());
      await untilWhole(nodes);
    },
    untilWhole: () => untilWhole(nodes),
    stop: () => each((node) => node.stop()),
    kill: () => each((node) => node.kill()),
  };
}

/** This machine's ports are asked for; in a network of its own every port is free. */
async function unusedPort(place: NodePlace, taken: Set<number>): Promise<number> {
  for (;;) {
    const port = await freePort(place.launcher.length > 0 ? '127.0.0.1' : place.host);
    if (taken.has(port)) continue;
    taken.add(port);
    return port;
  }
}

async function untilWhole(nodes: readonly ClusterNode[]): Promise<void> {
  const deadlineMs = performance.now() + WHOLE_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    const healthy = await Promise.all(nodes.map((node) => node.isHealthy()));
    const followers = await Promise.all(nodes.map((node) => node.followers()));
    if (healthy.every(Boolean) && followers.includes(nodes.length - 1)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new StitchworkError('LOG_UNAVAILABLE', `the NATS cluster is not whole after ${WHOLE_TIMEOUT_MS} ms`);
}
