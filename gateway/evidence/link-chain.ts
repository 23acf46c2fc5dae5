// The shortest chain of connections from one key to another: why the two are one profile. Pure.
import type { NamedKey } from '../audit/match-entry.ts';

export type ChainNode = NamedKey | { readonly profileId: string };

/** What made nodes belong together. */
export type ConnectedBy =
  /** An event that named these keys. */
  | 'event'
  /** An event gave the key to the profile; which other keys it named is not known any more. */
  | 'attached'
  /** An event made two profiles one; which keys it named is not known any more. */
  | 'merged'
  | 'merged_by_hand'
  /** The profile holds the key; how it came to it is not known any more. */
  | 'held';

export interface Connection {
  readonly by: ConnectedBy;
  /** Of the event; of a merge by hand the id of the command. */
  readonly messageId: string | undefined;
  readonly at: string | undefined;
  readonly nodes: readonly ChainNode[];
}

export interface ChainStep extends Omit<Connection, 'nodes'> {
  readonly from: ChainNode;
  readonly to: ChainNode;
}

interface Reached {
  readonly node: ChainNode;
  /** How it was reached; undefined: it is the beginning. */
  readonly via: { readonly from: string; readonly connection: Connection } | undefined;
}

/** In the fewest steps; of as many, by the connections that come first. Undefined: nothing connects the two. */
export function shortestChain(
  from: NamedKey,
  to: NamedKey,
  connections: readonly Connection[],
): readonly ChainStep[] | undefined {
  const byNode = indexed(connections);
  const reached = new Map<string, Reached>([[nameOf(from), { node: from, via: undefined }]]);
  const used = new Set<Connection>();
  // A map keeps the order of adding: what is added while it is walked is walked as well.
  for (const name of reached.keys()) {
    if (name === nameOf(to)) return stepsTo(name, reached);
    for (const connection of byNode.get(name) ?? []) {
      if (used.has(connection)) continue;
      used.add(connection);
      for (const node of connection.nodes) {
        if (!reached.has(nameOf(node))) reached.set(nameOf(node), { node, via: { from: name, connection } });
      }
    }
  }
  return undefined;
}

function indexed(connections: readonly Connection[]): ReadonlyMap<string, readonly Connection[]> {
  const byNode = new Map<string, Connection[]>();
  for (const connection of connections) {
    for (const node of connection.nodes) {
      const known = byNode.get(nameOf(node));
      if (known) known.push(connection);
      else byNode.set(nameOf(node), [connection]);
    }
  }
  return byNode;
}

function stepsTo(end: string, reached: ReadonlyMap<string, Reached>): readonly ChainStep[] {
  const steps: ChainStep[] = [];
  let at = reached.get(end);
  while (at?.via) {
    const { by, messageId, at: time } = at.via.connection;
    const before = reached.get(at.via.from)!;
    steps.push({ from: before.node, to: at.node, by, messageId, at: time });
    at = before;
  }
  return steps.reverse();
}

/** No profile id holds a line feed, and a key's name comes before the first one. */
function nameOf(node: ChainNode): string {
  return 'profileId' in node ? `\n${node.profileId}` : `${node.name}\n${node.value}`;
}
