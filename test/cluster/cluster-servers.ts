// The NATS side of the cluster test: three nodes, each in a network namespace of its own where those can be made, so that
// its cable can be cut. Elsewhere a node that should be cut off is stopped instead, which is said.
import { join } from 'node:path';
import { type ClusterNode, createNatsCluster, type NatsCluster } from '../../infra/cluster/nats-cluster.ts';
import { resolveNatsServer } from '../../infra/nats-server/resolve.ts';
import type { Servers, Spot } from '../crash/fleet.ts';
import { createNetwork, type Network, whyNoNetwork } from './network.ts';

export const NODES = ['node-1', 'node-2', 'node-3'] as const;
const HERE: Spot = { host: '127.0.0.1', launcher: [] };

export class ClusterServers implements Servers {
  readonly cluster: NatsCluster;
  readonly #network: Network | undefined;

  /** `others`: names of further places in the network. */
  static async create(folder: string, others: readonly string[] = []): Promise<ClusterServers> {
    const reason = whyNoNetwork();
    if (reason) console.warn(`NO NETWORK NAMESPACES (${reason}): nothing is cut off, it is stopped instead`);
    const network = reason ? undefined : createNetwork([...NODES, ...others]);
    try {
      const { path } = await resolveNatsServer();
      const places = NODES.map((name) => network?.places[name] ?? HERE);
      const cluster = await createNatsCluster({ binary: path, folder: join(folder, 'nats'), places });
      return new ClusterServers(cluster, network);
    } catch (error) {
      network?.destroy();
      throw error;
    }
  }

  private constructor(cluster: NatsCluster, network: Network | undefined) {
    this.cluster = cluster;
    this.#network = network;
  }

  get url(): string {
    return this.cluster.url;
  }

  get nodes(): readonly ClusterNode[] {
    return this.cluster.nodes;
  }

  get hasNetwork(): boolean {
    return this.#network !== undefined;
  }

  get spots(): Readonly<Record<string, Spot>> {
    return this.#network?.places ?? {};
  }

  node(name: string): ClusterNode {
    const node = this.nodes.find((candidate) => candidate.name === name);
    if (!node) throw new Error(`there is no node ${name}`);
    return node;
  }

  start(): Promise<void> {
    return this.cluster.start();
  }

  /** Cuts a node off, or stops it where there is no network to cut. The function that is returned ends it. */
  isolate(node: ClusterNode): () => void {
    if (this.#network) return this.cutCable(node.name);
    node.signal('SIGSTOP');
    return () => node.signal('SIGCONT');
  }

  /** Cuts the cable of a place. The function that is returned heals it. */
  cutCable(name: string): () => void {
    const place = this.#network?.places[name];
    if (!place) throw new Error(`${name} has no cable`);
    place.cut();
    return () => place.heal();
  }

  async destroy(): Promise<void> {
    for (const node of this.nodes) node.signal('SIGCONT');
    await this.cluster.kill();
    this.#network?.destroy();
  }
}
