// The toy actor of the simulation: records hold whole lists of what was applied to them, so that an oracle can compare.
// It does what a profile actor does (touch, merge through redirects, move links, guard what it read, arm alarm clocks)
// and never drops a repeated message: applied twice shows as twice.
import type {
  Actor,
  ActorMessage,
  AlarmChange,
  Apply,
  Decision,
  OutboxEntry,
  RecordView,
} from '../../shared/contract/actor.ts';
import { RECORD_BYTES_MAX } from '../../shared/ports/record-store.ts';
import {
  decodeToy,
  dutyKey,
  type Entry,
  encodeToy,
  linkKey,
  type TallyMessage,
  type TallyState,
  type ToyState,
  tallyKey,
  toBytes,
} from './tally-model.ts';

type Live = TallyState & { readonly kind: 'tally' };

const EMPTY: Live = { kind: 'tally', entries: [], links: [], alarm: null, ballast: 0 };
const REDIRECTS_MAX = 50;

export function createTallyActor(configVersion: number): Actor<TallyMessage> {
  return {
    configVersion,
    parse(message) {
      const parsed = JSON.parse(Buffer.from(message.payload).toString()) as TallyMessage;
      if (parsed.poison === 'parse') throw new Error('poison in parse');
      return parsed;
    },
    decide(message, parsed, view) {
      if (parsed.poison === 'decide') throw new Error('poison in decide');
      if ((parsed.configVersion ?? 0) > configVersion) return { kind: 'wait', reason: 'newer config' };
      return new Draft(message, parsed, view).decide();
    },
    encode: (_key, state) => encodeToy(state as ToyState),
    decode: (_key, bytes) => decodeToy(bytes),
    deadLetter: (message, reason) => ({
      key: `o.dead.${message.shard}.${message.sequence}`,
      value: Buffer.from(JSON.stringify({ sequence: message.sequence, shard: message.shard, ...reason })),
    }),
  };
}

/** Asked for records that are not loaded: the decision is given up and asked for again. */
class Missing {
  readonly keys: readonly string[];
  readonly fresh: boolean;

  constructor(keys: readonly string[], fresh: boolean) {
    this.keys = keys;
    this.fresh = fresh;
  }
}

class Draft {
  readonly #message: ActorMessage;
  readonly #parsed: TallyMessage;
  readonly #view: RecordView;
  readonly #writes = new Map<string, unknown>();
  readonly #guards = new Set<string>();
  readonly #outbox: OutboxEntry[] = [];
  readonly #alarms: AlarmChange[] = [];

  constructor(message: ActorMessage, parsed: TallyMessage, view: RecordView) {
    this.#message = message;
    this.#parsed = parsed;
    this.#view = view;
  }

  decide(): Decision {
    try {
      return this.#apply();
    } catch (error) {
      if (error instanceof Missing) return { kind: 'need', keys: error.keys, fresh: error.fresh };
      throw error;
    }
  }

  #apply(): Apply {
    const { touch, ifAbsent, merge, link, drop, duty, arm, disarm, fired, huge } = this.#parsed;
    const blocked = ifAbsent !== undefined && this.#get(tallyKey(ifAbsent)) !== null;
    if (ifAbsent !== undefined) this.#guards.add(tallyKey(ifAbsent));
    if (!blocked) {
      this.#load((touch ?? []).map(tallyKey));
      for (const name of touch ?? [])
        this.#touch(name, ifAbsent === undefined ? 'touch' : 'absent', ifAbsent);
    }
    if (merge) this.#merge(merge[0], merge[1]);
    if (link) this.#link(link.name, link.to);
    if (drop !== undefined) this.#drop(drop);
    if (duty) this.#duty(duty.pair, duty.side, duty.on);
    if (arm) this.#arm(arm.name, arm.inMs);
    if (disarm !== undefined) this.#disarm(disarm);
    if (fired) this.#fired(fired.name, fired.generation);
    if (huge) this.#huge(huge);
    this.#emit(blocked);
    const guards = [...this.#guards].filter((key) => !this.#writes.has(key));
    return { kind: 'apply', writes: this.#writes, guards, outbox: this.#outbox, alarms: this.#alarms };
  }

  #load(keys: readonly string[]): void {
    const missing = keys.filter((key) => !this.#writes.has(key) && this.#view.get(key) === undefined);
    if (missing.length > 0) throw new Missing(missing, false);
  }

  #get(key: string): ToyState | null {
    if (this.#writes.has(key)) return this.#writes.get(key) as ToyState | null;
    const state = this.#view.get(key);
    if (state === undefined) throw new Missing([key], false);
    return state as ToyState | null;
  }

  /** The live record that a name stands for, through redirects; each of them is guarded. */
  #root(name: string): { readonly name: string; readonly state: Live } {
    let at = name;
    for (let steps = 0; steps < REDIRECTS_MAX; steps++) {
      const state = this.#get(tallyKey(at));
      if (state?.kind === 'redirect') {
        this.#guards.add(tallyKey(at));
        at = state.to;
        continue;
      }
      // A redirect never leads to nothing: one of the two records is stale.
      if (state === null && at !== name) throw new Missing([tallyKey(name), tallyKey(at)], true);
      return { name: at, state: state?.kind === 'tally' ? state : EMPTY };
    }
    throw new Missing([tallyKey(name), tallyKey(at)], true);
  }

  #touch(name: string, what: Entry['what'], detail: string | undefined): void {
    const root = this.#root(name);
    const { sequence, shard } = this.#message;
    const entry = { sequence, shard, name: detail === undefined ? name : `${name}!${detail}`, what };
    this.#writes.set(tallyKey(root.name), { ...root.state, entries: [...root.state.entries, entry] });
  }

  /** The smaller name survives, so that any order of merges ends with the same survivors. */
  #merge(left: string, right: string): void {
    this.#load([tallyKey(left), tallyKey(right)]);
    const a = this.#root(left);
    const b = this.#root(right);
    if (a.name === b.name) return;
    const [survivor, retired] = a.name < b.name ? [a, b] : [b, a];
    const links = [...survivor.state.links, ...retired.state.links];
    const merged = {
      ...survivor.state,
      entries: [...survivor.state.entries, ...retired.state.entries],
      links,
    };
    this.#writes.set(tallyKey(survivor.name), merged);
    this.#writes.set(tallyKey(retired.name), { kind: 'redirect', to: survivor.name });
    const { alarm } = retired.state;
    if (!alarm) return;
    this.#alarms.push({ kind: 'cancel', key: alarmKey(retired.name) });
    if (!merged.alarm) this.#armAt(survivor.name, alarm.atMs);
  }

  #link(name: string, to: string): void {
    const key = linkKey(name);
    const before = this.#get(key);
    const target = this.#root(to);
    if (before?.kind === 'link') {
      const holder = this.#root(before.to);
      if (!holder.state.links.includes(name))
        throw new Missing([key, tallyKey(before.to), tallyKey(holder.name)], true);
      const links = holder.state.links.filter((held) => held !== name);
      this.#writes.set(tallyKey(holder.name), { ...holder.state, links });
    }
    const gaining = this.#root(target.name);
    this.#writes.set(tallyKey(gaining.name), { ...gaining.state, links: [...gaining.state.links, name] });
    const history = [...(before?.kind === 'link' ? before.history : []), this.#message.sequence];
    this.#writes.set(key, { kind: 'link', to: gaining.name, history });
  }

  /** Only a record without links and redirects to it may go: the names that are dropped are never merged or linked. */
  #drop(name: string): void {
    const state = this.#get(tallyKey(name));
    if (state?.kind !== 'tally') return;
    this.#writes.set(tallyKey(name), null);
    const value = Buffer.from(JSON.stringify(state.entries));
    this.#outbox.push({ key: `o.audit.dropped.${this.#message.sequence}d`, value });
  }

  #duty(pair: string, side: 'a' | 'b', on: boolean): void {
    const own = dutyKey(pair, side);
    const other = dutyKey(pair, side === 'a' ? 'b' : 'a');
    this.#load([own, other]);
    const otherState = this.#get(other);
    const state = this.#get(own);
    if (!on && otherState?.kind === 'duty' && !otherState.on) {
      this.#guards.add(own);
      this.#guards.add(other);
      return;
    }
    if (!on) this.#guards.add(other);
    const { sequence, shard } = this.#message;
    const entry: Entry = { sequence, shard, name: pair, what: 'duty' };
    const entries = [...(state?.kind === 'duty' ? state.entries : []), entry];
    this.#writes.set(own, { kind: 'duty', on, entries });
  }

  #arm(name: string, inMs: number): void {
    const root = this.#root(name);
    this.#writes.set(tallyKey(root.name), root.state);
    this.#armAt(root.name, this.#message.nowMs + inMs);
  }

  #armAt(name: string, atMs: number): void {
    const generation = this.#message.sequence;
    const { shard } = this.#message;
    const key = tallyKey(name);
    this.#writes.set(key, { ...(this.#get(key) as Live), alarm: { generation, atMs } });
    const fired: TallyMessage = { id: `${name}.${generation}`, fired: { name, generation } };
    const target = `f.${shard}.${name}.tick.${generation}`;
    this.#alarms.push({ kind: 'arm', key: alarmKey(name), target, atMs, value: toBytes(fired) });
  }

  #disarm(name: string): void {
    const root = this.#root(name);
    if (!root.state.alarm) {
      this.#guardRead(root.name);
      return;
    }
    this.#writes.set(tallyKey(root.name), { ...root.state, alarm: null });
    this.#alarms.push({ kind: 'cancel', key: alarmKey(root.name) });
  }

  #fired(name: string, generation: number): void {
    const root = this.#root(name);
    if (root.state.alarm?.generation !== generation) {
      this.#guardRead(root.name);
      return;
    }
    const { sequence, shard } = this.#message;
    const entry: Entry = { sequence, shard, name: `${name}.${generation}`, what: 'timer' };
    const entries = [...root.state.entries, entry];
    this.#writes.set(tallyKey(root.name), { ...root.state, entries, alarm: null });
  }

  #guardRead(name: string): void {
    this.#guards.add(tallyKey(name));
  }

  #huge(what: 'record' | 'outbox' | 'batch'): void {
    const key = tallyKey(`huge-${this.#message.sequence}`);
    if (what === 'record') this.#writes.set(key, { ...EMPTY, ballast: RECORD_BYTES_MAX });
    if (what === 'batch') for (let i = 0; i < 950; i++) this.#outbox.push(this.#filler(i, 1));
    if (what === 'outbox') this.#outbox.push(this.#filler(0, 2_000_000));
  }

  #filler(index: number, bytes: number): OutboxEntry {
    return { key: `o.activation.filler.${this.#message.sequence}x${index}`, value: Buffer.alloc(bytes, ' ') };
  }

  /** Every message leaves exactly one entry in the outbox: here or as a dead letter. */
  #emit(blocked: boolean): void {
    const { sequence, shard } = this.#message;
    const kind = sequence % 2 === 0 ? 'activation.applied' : 'audit.applied';
    const value = Buffer.from(JSON.stringify({ sequence, shard, id: this.#parsed.id, blocked }));
    this.#outbox.push({ key: `o.${kind}.${sequence}`, value });
  }
}

function alarmKey(name: string): string {
  return `t.${name}.tick`;
}
