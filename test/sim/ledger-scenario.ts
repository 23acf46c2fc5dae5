// The ledger actor: accounts that messages post to, most of them to one account that exists, so that they go by plain
// writes and are stamped; now and then two at once, and accounts that are joined. Nothing but the stamps keeps a message
// from being posted twice.
import { createHash } from 'node:crypto';
import type { Actor, ActorMessage, Apply, Decision, RecordView } from '../../shared/contract/actor.ts';
import { NEWEST_CONFIG, type Outcome, type Scenario, type SentMessage } from './scenario.ts';
import type { World } from './world.ts';

type Stamp = readonly [shard: number, sequence: number, hash: string];

interface Account {
  readonly postings: readonly (readonly [shard: number, sequence: number])[];
  readonly stamps: readonly Stamp[];
  /** Joined to this one. */
  readonly to?: string;
}

interface Posting {
  readonly to?: readonly string[];
  readonly join?: readonly [string, string];
}

export interface LedgerFlaws {
  /** No flaw, but fewer accounts and more messages that need a batch: plain writes and batches meet on every record. */
  readonly crowded?: boolean;
  /** Stamps are written and not looked at. */
  readonly blind?: boolean;
  /** The stamps of a joined account are lost. */
  readonly forgetful?: boolean;
}

const ROOM = 6;
const HOPS_MAX = 50;
const keyOf = (name: string) => `p.${name}`;
const EMPTY: Account = { postings: [], stamps: [] };

class Missing {
  readonly keys: readonly string[];
  readonly fresh: boolean;

  constructor(keys: readonly string[], fresh: boolean) {
    this.keys = keys;
    this.fresh = fresh;
  }
}

/** `counts.repeats`: messages that were read again and recognised by their stamps. */
export function ledgerScenario(counts: { repeats: number }, flaws: LedgerFlaws = {}): Scenario {
  return {
    marksEachMessage: false,
    damagedKey: undefined,
    alarmsRing: false,
    actor: (configVersion) => createLedgerActor(configVersion, counts, flaws),
    draw: (world, shards, spanMs) => draw(world, shards, spanMs, flaws.crowded === true),
    judge,
  };
}

function draw(world: World, shards: number, spanMs: number, crowded: boolean): readonly SentMessage[] {
  const names = crowded ? 2 : world.pick([1, 4, 15]);
  const single = crowded ? 0.5 : 0.85;
  const name = () => `a${world.between(0, names - 1)}`;
  const count = world.pick([30, 80, 150]);
  const sent = Array.from({ length: count }, (_, id): SentMessage => {
    const roll = world.random.next();
    const posting: Posting =
      roll < single
        ? { to: [name()] }
        : roll < (crowded ? 0.97 : 0.93)
          ? { to: [...new Set([name(), name()])] }
          : { join: [name(), name()] };
    const payload = Buffer.from(JSON.stringify({ id, ...posting }));
    return { atMs: world.between(0, spanMs), shard: world.between(0, shards - 1), payload };
  });
  return sent.sort((a, b) => a.atMs - b.atMs);
}

function createLedgerActor(
  configVersion: number,
  counts: { repeats: number },
  flaws: LedgerFlaws,
): Actor<Posting> {
  return {
    configVersion: Math.min(configVersion, NEWEST_CONFIG),
    parse: ({ payload }) => JSON.parse(Buffer.from(payload).toString()) as Posting,
    decide(message, posting, view) {
      try {
        return apply(message, posting, view, counts, flaws);
      } catch (error) {
        if (error instanceof Missing) return { kind: 'need', keys: error.keys, fresh: error.fresh };
        throw error;
      }
    },
    stamp(state, messages, isSettled) {
      const account = state as Account;
      const open = account.stamps.filter(([shard, sequence]) => !isSettled(shard, sequence));
      const stamps = [...open, ...messages.map(stampOf)];
      return stamps.length > ROOM ? undefined : { ...account, stamps };
    },
    encode: (_key, state) => Buffer.from(JSON.stringify(state)),
    decode: (_key, bytes) => JSON.parse(Buffer.from(bytes).toString()) as Account,
    deadLetter: ({ shard, sequence }, reason) => ({
      key: `o.dead.${shard}.${sequence}`,
      value: Buffer.from(JSON.stringify({ shard, sequence, ...reason })),
    }),
  };
}

function apply(
  message: ActorMessage,
  posting: Posting,
  view: RecordView,
  counts: { repeats: number },
  flaws: LedgerFlaws,
): Decision {
  const writes = new Map<string, Account>();
  if (posting.join) join(posting.join, view, writes, flaws);
  const roots = (posting.to ?? []).map((name) => rootOf(name, view));
  const own = stampOf(message).join();
  if (!flaws.blind && roots.some(({ account }) => account?.stamps.some((stamp) => stamp.join() === own))) {
    counts.repeats += 1;
    return done(writes);
  }
  for (const { name } of roots) {
    const before = writes.get(keyOf(name)) ?? rootOf(name, view).account ?? EMPTY;
    const postings = [...before.postings, [message.shard, message.sequence] as const];
    writes.set(keyOf(name), { ...before, postings });
  }
  const single = roots.length === 1 && roots[0]!.account !== null;
  return single ? { ...done(writes), stampable: true } : done(writes);
}

function done(writes: ReadonlyMap<string, Account>): Apply {
  return { kind: 'apply', writes, guards: [], outbox: [], alarms: [] };
}

/** The smaller name goes on, so that every order of joins ends the same. */
function join(
  [left, right]: readonly [string, string],
  view: RecordView,
  writes: Map<string, Account>,
  flaws: LedgerFlaws,
): void {
  const a = rootOf(left, view);
  const b = rootOf(right, view);
  if (a.name === b.name) return;
  const [to, from] = a.name < b.name ? [a, b] : [b, a];
  const kept = to.account ?? EMPTY;
  const ended = from.account ?? EMPTY;
  const stamps = flaws.forgetful ? kept.stamps : [...kept.stamps, ...ended.stamps];
  writes.set(keyOf(to.name), { postings: [...kept.postings, ...ended.postings], stamps });
  writes.set(keyOf(from.name), { ...EMPTY, to: to.name });
}

function rootOf(name: string, view: RecordView): { readonly name: string; readonly account: Account | null } {
  let at = name;
  for (let hops = 0; hops < HOPS_MAX; hops++) {
    const account = view.get(keyOf(at)) as Account | null | undefined;
    if (account === undefined) throw new Missing([keyOf(at)], false);
    // An account that others are joined to is written before they are: this one is stale.
    if (account === null && at !== name) throw new Missing([keyOf(name), keyOf(at)], true);
    if (account?.to === undefined) return { name: at, account };
    at = account.to;
  }
  throw new Missing([keyOf(name), keyOf(at)], true);
}

function stampOf({ shard, sequence, payload }: ActorMessage): Stamp {
  return [shard, sequence, createHash('sha1').update(payload).digest('base64').slice(0, 8)];
}

/** Every posting stands once in every account that its message named, wherever that was joined to. */
function judge({ store, copies, history }: Outcome): readonly string[] {
  const wrong: string[] = [];
  const found = new Map<string, number>();
  for (const key of store.keys('p.')) {
    const value = store.latest(key)?.value;
    const account = value ? (JSON.parse(Buffer.from(value).toString()) as Account) : EMPTY;
    for (const posting of account.postings) found.set(posting.join(), (found.get(posting.join()) ?? 0) + 1);
  }
  for (const { shard, sequence, payload } of history) {
    const { to = [] } = JSON.parse(Buffer.from(payload).toString()) as Posting;
    const count = found.get([shard, sequence].join()) ?? 0;
    found.delete([shard, sequence].join());
    // Two accounts that have become one take one posting.
    const fewest = Math.min(1, to.length);
    if (count < fewest || count > to.length)
      wrong.push(`message ${sequence} of shard ${shard} was posted ${count} times, not ${to.length}`);
  }
  for (const id of found.keys()) wrong.push(`posting ${id} comes from no message`);
  for (const { key } of copies.copied.dead) wrong.push(`dead letter ${key}`);
  return wrong;
}
