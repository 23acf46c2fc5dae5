// A network of its own for a cluster: a bridge, and for each place a network namespace with a cable to it that can be
// cut. A cut cable is what a broken switch is: nothing arrives and nobody is told. Needs root and `ip` of Linux.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { NodePlace } from '../../infra/cluster/nats-cluster.ts';

export interface Place extends NodePlace {
  /** Nothing arrives or leaves, and no connection is told so. */
  cut(): void;
  heal(): void;
}

export interface Network {
  readonly places: Readonly<Record<string, Place>>;
  /** Removes everything. What still runs at a place loses its network. */
  destroy(): void;
}

const PREFIX = 'swc';
const SUBNETS = 250;

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Why namespaces cannot be made here; undefined when they can. */
export function whyNoNetwork(): string | undefined {
  if (process.platform !== 'linux') return 'not Linux';
  if (process.getuid?.() !== 0) return 'not root';
  const probe = `${PREFIX}-probe-${process.pid}`;
  try {
    ip('netns', 'add', probe);
    try {
      ip('link', 'add', `${PREFIX}p${process.pid}`, 'type', 'veth', 'peer', 'name', 'p', 'netns', probe);
    } finally {
      ip('netns', 'del', probe);
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.split('\n').join(' ') : String(error);
  }
}

/** Makes one place for each name. What earlier runs that were killed have left is removed first. */
export function createNetwork(names: readonly string[]): Network {
  removeLeftovers();
  const owner = `${PREFIX}${process.pid}`;
  const subnet = `10.213.${process.pid % SUBNETS}`;
  ip('link', 'add', owner, 'type', 'bridge');
  ip('addr', 'add', `${subnet}.254/24`, 'dev', owner);
  ip('link', 'set', owner, 'up');
  const places: Record<string, Place> = {};
  for (const [index, name] of names.entries()) {
    const space = `${owner}-${name}`;
    const cable = `${owner}c${index}`;
    const host = `${subnet}.${index + 1}`;
    ip('netns', 'add', space);
    ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
    ip('link', 'set', cable, 'master', owner, 'up');
    ip('-n', space, 'addr', 'add', `${host}/24`, 'dev', 'eth0');
    ip('-n', space, 'link', 'set', 'eth0', 'up');
    ip('-n', space, 'link', 'set', 'lo', 'up');
    places[name] = {
      host,
      launcher: ['ip', 'netns', 'exec', space],
      cut: () => void ip('link', 'set', cable, 'down'),
      heal: () => void ip('link', 'set', cable, 'up'),
    };
  }
  return { places, destroy: () => remove(owner) };
}

/** The cables end with their namespaces. */
function remove(owner: string): void {
  for (const line of ip('netns', 'list').split('\n')) {
    const [space = ''] = line.split(' ');
    if (space.startsWith(`${owner}-`)) ip('netns', 'del', space);
  }
  try {
    ip('link', 'del', owner);
  } catch {
    // It was not made.
  }
}

function removeLeftovers(): void {
  for (const match of ip('-o', 'link', 'show', 'type', 'bridge').matchAll(/^\d+: (swc(\d+)):/gm)) {
    const [, owner = '', pid = ''] = match;
    if (!existsSync(`/proc/${pid}`)) remove(owner);
  }
}
