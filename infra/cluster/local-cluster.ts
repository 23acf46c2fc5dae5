// A whole deployment on this machine: a NATS cluster, gateways, workers, batch processes and activators, each a process of its
// own, with as many copies of every stream as there are nodes. For trying out and testing: all copies are on one disk.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { Log } from '../log.ts';
import { resolveNatsServer } from '../nats-server/resolve.ts';
import { freePort } from '../nats-server/start.ts';
import type { RunningRole } from '../role.ts';
import { type ClusterNode, createNatsCluster } from './nats-cluster.ts';
import { startRoleProcess } from './role-process.ts';
import { type RunningChild, Supervised } from './supervised.ts';

export interface LocalClusterOptions {
  readonly folder: string;
  readonly configFiles: readonly string[];
  readonly nodes: number;
  readonly gateways: number;
  readonly workers: number;
  readonly batches: number;
  readonly activators: number;
  /** Of the first gateway, the others follow; 0: free ones. */
  readonly port: number;
  /** Of the first node, the others follow; 0: free ones. */
  readonly natsPort: number;
  readonly logLevel: string;
  readonly adminKey: string;
  readonly writeKey: string;
  /** What the processes find in their environment beside the keys. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface LocalProcess {
  readonly name: string;
  readonly url: string;
  readonly pid: number | undefined;
}

export interface RunningCluster extends RunningRole {
  readonly natsUrl: string;
  readonly nodes: readonly LocalProcess[];
  readonly gateways: readonly LocalProcess[];
  readonly workers: readonly LocalProcess[];
  readonly batches: readonly LocalProcess[];
  readonly activators: readonly LocalProcess[];
}

type Role = 'gateway' | 'worker' | 'batch' | 'activator';

const HOST = '127.0.0.1';
const HERE = { host: HOST, launcher: [] };

/** Starts everything. When it throws, nothing is left running. */
export async function runLocalCluster(
  options: LocalClusterOptions,
  deps: { readonly log: Log; readonly clock: Clock },
): Promise<RunningCluster> {
  await mkdir(join(options.folder, 'logs'), { recursive: true });
  const started: Supervised[] = [];
  const stop = async () => {
    // Roles first, newest first: each finishes what it has begun while there is a server to tell.
    for (const child of started.splice(0).reverse()) await child.stop();
  };
  const keep = async (name: string, start: () => Promise<RunningChild>): Promise<Supervised> => {
    const child = new Supervised(name, start, deps);
    await child.start();
    started.push(child);
    return child;
  };
  try {
    const { path } = await resolveNatsServer();
    const cluster = await createNatsCluster({
      binary: path,
      folder: join(options.folder, 'nats'),
      places: Array.from({ length: options.nodes }, () => HERE),
      ports: await portsFrom(options.natsPort, options.nodes),
    });
    const nodes = await Promise.all(
      cluster.nodes.map(async (node) => view(await keep(node.name, () => startNode(node)), node.url)),
    );
    await cluster.untilWhole();
    const roles = async (role: Role, count: number, from: number) => {
      const all: LocalProcess[] = [];
      for (const [index, port] of (await portsFrom(from, count)).entries()) {
        const name = `${role}-${index + 1}`;
        const child = await keep(name, () => startRole(options, cluster.url, { role, name, port }));
        all.push(view(child, `http://${HOST}:${port}`));
      }
      return all;
    };
    // The first gateway makes the streams; the others find them.
    const gateways = await roles('gateway', options.gateways, options.port);
    const workers = await roles('worker', options.workers, 0);
    const batches = await roles('batch', options.batches, 0);
    const activators = await roles('activator', options.activators, 0);
    const all = { nodes, gateways, workers, batches, activators };
    return { natsUrl: cluster.url, ...all, failed: new Promise(() => {}), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startNode(node: ClusterNode): Promise<RunningChild> {
  const { pid, exited, stop } = await node.start();
  return { pid, exited: exited.then((code) => String(code ?? 'killed')), stop };
}

function startRole(
  options: LocalClusterOptions,
  natsUrl: string,
  { role, name, port }: { role: Role; name: string; port: number },
): Promise<RunningChild> {
  const address = ['--host', HOST, '--port', String(port)];
  const topology = ['--nats-url', natsUrl, '--replicas', String(options.nodes)];
  // One archive for all: batch processes write it, gateways read it.
  const files = role === 'worker' || role === 'activator' ? [] : ['--data-dir', join(options.folder, 'data')];
  const config = options.configFiles.flatMap((file) => ['--config', file]);
  return startRoleProcess({
    role,
    args: [...config, ...topology, ...address, ...files, '--log-level', options.logLevel],
    env: {
      ...options.env,
      STITCHWORK_ADMIN_KEY: options.adminKey,
      STITCHWORK_WRITE_KEY: options.writeKey,
    },
    logFile: join(options.folder, 'logs', `${name}.log`),
  });
}

/** The pid is that of the present life. */
function view(child: Supervised, url: string): LocalProcess {
  return {
    name: child.name,
    url,
    get pid() {
      return child.pid;
    },
  };
}

async function portsFrom(first: number, count: number): Promise<readonly number[]> {
  if (first > 0) return Array.from({ length: count }, (_, index) => first + index);
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort(HOST));
  return [...ports];
}
