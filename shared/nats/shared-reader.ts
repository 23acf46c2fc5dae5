// Readers of many shards over one consumer. A filtered consumer costs the server several times what it costs to send
// everything, so a worker that owns a good part of the shards reads the whole log once and sorts it into lanes, one a
// shard; only a worker with few shards asks for those alone.
//
// The main session has delivered everything up to its position. A lane that starts before it, or whose buffer ran over,
// is behind: it has a session of its own until that one meets what the main session brought meanwhile.
import type { SegmentNames } from '../contract/names.ts';
import { isStitchworkError } from '../kernel/errors.ts';
import type { LogMessage, ShardReader } from '../ports/event-log.ts';
import type { NatsDoor } from './connect.ts';
import { getMessage } from './jetstream-api.ts';
import { Lane, type LaneDeps, type LogFault } from './lane.ts';
import { readLogState } from './log-state.ts';
import { PullSession } from './pull-session.ts';

/** What joined lanes may hold together before no more is asked for. */
const HELD_MESSAGES = 3000;
const HELD_BYTES = 8 * 1024 * 1024;
/** Lanes that start this far behind the foremost one are fed by themselves. */
const SPREAD_MESSAGES = 20_000;
/** Owning less than one shard in so many, a worker has the server filter. */
const FILTER_SHARE = 4;
const RETRY_MS = 200;
/** After the set of shards changed, before the filter follows. */
const SETTLE_MS = 300;
/** After a lane came that is a little behind, before the main session is set back for it. */
const SET_BACK_MS = 10;

interface Main {
  /** Undefined while it is being opened. */
  session: PullSession | undefined;
  /** Shards that the server filters for; undefined: it sends everything. */
  readonly covered: ReadonlySet<number> | undefined;
}

export class SharedReader {
  readonly #door: NatsDoor;
  readonly #names: SegmentNames;
  readonly #shards: number;
  readonly #laneDeps: LaneDeps;
  readonly #lanes = new Map<number, Lane>();
  /** The session in use; another object means that what still arrives for the old one is ignored. */
  #main: Main | undefined;
  /** All up to here was delivered by main sessions. */
  #position = 0;
  /** The last message that a main session delivered: the log that still holds it is unchanged up to there. */
  #mark: LogMessage | undefined;
  #createdAt: string | undefined;
  #heldMessages = 0;
  #heldBytes = 0;
  #retry: NodeJS.Timeout | undefined;
  #settling: NodeJS.Timeout | undefined;
  #settingBack: NodeJS.Timeout | undefined;
  #forget: (() => void) | undefined;

  /** `shards`: how many the segment has. */
  constructor(door: NatsDoor, names: SegmentNames, shards: number) {
    this.#door = door;
    this.#names = names;
    this.#shards = shards;
    this.#laneDeps = {
      makeSession: (options) => new PullSession(door, names, options),
      check: async (lane) => (await this.#faults([lane])).get(lane),
      held: (messages, bytes) => this.#held(messages, bytes),
      left: (lane) => this.#left(lane),
    };
  }

  open(shard: number, afterSequence: number, onReadable: () => void): ShardReader {
    this.#forget ??= this.#door.onReconnect(() => this.#reconnected());
    this.#lanes.get(shard)?.close();
    const lane = new Lane(this.#laneDeps, shard, afterSequence, onReadable);
    this.#lanes.set(shard, lane);
    if (!this.#main && this.#retry === undefined) void this.#openMain(false);
    else if (this.#main?.session) this.#admit(lane, this.#main);
    return lane;
  }

  /** A lane that comes while the main session runs: joins it, waits for it to be set back, or is fed by itself. */
  #admit(lane: Lane, main: Main): void {
    this.#settle();
    const isCovered = main.covered === undefined || main.covered.has(lane.shard);
    if (isCovered && lane.last >= this.#position) {
      lane.join();
      lane.sessions += 1;
    } else if (isCovered && this.#isWithinSpread(lane)) this.#setBackSoon();
    else lane.fallBehind();
  }

  #isWithinSpread(lane: Lane): boolean {
    return this.#position - lane.last <= SPREAD_MESSAGES;
  }

  /** `byChoice`: the session before was sound and was ended by us. */
  async #openMain(byChoice: boolean): Promise<void> {
    const main: Main = { session: undefined, covered: this.#coverage() };
    this.#main = main;
    let resumed: { readonly after: number; readonly isSameLog: boolean };
    try {
      const faults = await this.#faults([...this.#lanes.values()]);
      resumed = await this.#resumeAfter();
      if (this.#main !== main) return;
      for (const [lane, fault] of faults) this.#break(lane, fault);
      if (this.#main !== main) return;
    } catch (error) {
      // The log cannot be reached: again until it can, or no lane is left.
      if (!isStitchworkError(error)) throw error;
      if (this.#main === main) this.#reopen(RETRY_MS, false);
      return;
    }
    this.#position = resumed.after;
    main.session = new PullSession(this.#door, this.#names, {
      afterSequence: resumed.after,
      shards: main.covered && [...main.covered],
      onMessage: (message) => {
        if (this.#main === main) this.#deliver(main, message);
      },
      onJump: () => {
        if (this.#main === main) for (const lane of this.#lanes.values()) lane.jumped();
      },
      onEnd: () => {
        if (this.#main === main) this.#reopen(0, false);
      },
      isWanted: () => this.#heldMessages < HELD_MESSAGES && this.#heldBytes < HELD_BYTES,
    });
    for (const lane of this.#lanes.values()) this.#place(lane, main, resumed.isSameLog);
    const opened = await main.session.open();
    if (this.#main !== main) return;
    if (!opened) return this.#reopen(RETRY_MS, false);
    const isNews = !byChoice || !resumed.isSameLog;
    for (const lane of this.#lanes.values()) {
      if (lane.isJoined && (isNews || lane.sessions === 0)) lane.sessions += 1;
    }
    this.#settle();
  }

  /** How a lane is fed by a session that starts at the position. One that was joined has had everything before it. */
  #place(lane: Lane, main: Main, isSameLog: boolean): void {
    const isCovered = main.covered === undefined || main.covered.has(lane.shard);
    if (isCovered && (lane.last >= this.#position || (lane.isJoined && isSameLog))) lane.join();
    else lane.fallBehind();
  }

  /**
   * Where the next main session goes on: at the position, if the log still holds the message that marks it, for then
   * nothing before it has changed; set back for lanes that wait for it. Else where the lanes are, but no farther back
   * than the spread.
   */
  async #resumeAfter(): Promise<{ readonly after: number; readonly isSameLog: boolean }> {
    const mark = this.#mark;
    if (mark) {
      const query = { seq: mark.sequence };
      const kept = await getMessage(this.#door, this.#names.eventsStream, query, 'LOG_UNAVAILABLE');
      if (kept?.timeMs === mark.timeMs && Buffer.compare(kept.data, mark.payload) === 0) {
        const waiting = [...this.#lanes.values()].filter(
          (lane) => lane.isWaiting && this.#isWithinSpread(lane),
        );
        return { after: Math.min(this.#position, ...waiting.map(({ last }) => last)), isSameLog: true };
      }
      this.#mark = undefined;
    }
    const starts = [...this.#lanes.values()].map(({ last }) => last);
    const foremost = Math.max(...starts);
    const after = Math.min(...starts.filter((start) => start >= foremost - SPREAD_MESSAGES));
    return { after, isSameLog: false };
  }

  /** Lanes whose log is not the one that was opened, or is shorter than what was read of it. */
  async #faults(lanes: readonly Lane[]): Promise<Map<Lane, LogFault>> {
    // What arrives while the state is asked for may be newer than the state.
    const read = lanes.map((lane) => [lane, lane.last] as const);
    const farthest = Math.max(0, ...read.map(([, last]) => last));
    const { createdAt, lastSequence } = await readLogState(this.#door, this.#names, farthest);
    this.#createdAt ??= createdAt;
    const faults = new Map<Lane, LogFault>();
    for (const [lane, last] of read) {
      if (this.#createdAt !== createdAt) faults.set(lane, 'LOG_REPLACED');
      else if (lastSequence < last) faults.set(lane, 'LOG_TRUNCATED');
    }
    return faults;
  }

  #break(lane: Lane, fault: LogFault): void {
    lane.broken(fault);
    this.#left(lane);
  }

  #deliver(main: Main, message: LogMessage): void {
    this.#position = message.sequence;
    if (!this.#mark || message.sequence > this.#mark.sequence) this.#mark = message;
    this.#lanes.get(message.shard)?.fromMain(message, this.#pendingOfLane(main));
  }

  /** A lane's part in what the main session has still to bring: the server does not count by shard. */
  #pendingOfLane({ session, covered }: Main): number {
    return Math.ceil((session?.pending ?? 0) / (covered?.size ?? this.#shards));
  }

  /** Shards to filter for; undefined: none. */
  #coverage(): ReadonlySet<number> | undefined {
    return this.#lanes.size * FILTER_SHARE < this.#shards ? new Set(this.#lanes.keys()) : undefined;
  }

  /** Follows a changed set of shards with the filter, a little later. */
  #settle(): void {
    if (this.#settling !== undefined) return;
    this.#settling = setTimeout(() => {
      this.#settling = undefined;
      if (this.#main?.session && !isSame(this.#coverage(), this.#main.covered)) this.#reopen(0, true);
    }, SETTLE_MS);
    this.#settling.unref();
  }

  /** Lanes that come one after another share one step back. */
  #setBackSoon(): void {
    this.#settingBack ??= setTimeout(() => {
      this.#settingBack = undefined;
      if (this.#main?.session) this.#reopen(0, true);
    }, SET_BACK_MS);
  }

  #held(messages: number, bytes: number): void {
    this.#heldMessages += messages;
    this.#heldBytes += bytes;
    if (messages < 0) this.#main?.session?.more();
  }

  #left(lane: Lane): void {
    if (this.#lanes.get(lane.shard) !== lane) return;
    this.#lanes.delete(lane.shard);
    if (this.#lanes.size > 0) this.#settle();
    else this.#stop();
  }

  #reconnected(): void {
    this.#reopen(0, false);
    for (const lane of this.#lanes.values()) lane.reconnected();
  }

  #reopen(afterMs: number, byChoice: boolean): void {
    this.#endMain();
    if (this.#lanes.size === 0) return;
    if (afterMs === 0) void this.#openMain(byChoice);
    else {
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        void this.#openMain(byChoice);
      }, afterMs);
    }
  }

  #endMain(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#main?.session?.close();
    this.#main = undefined;
    for (const lane of this.#lanes.values()) lane.mainEnded();
  }

  /** No lane is left: the next one begins with whatever log there is then. */
  #stop(): void {
    this.#endMain();
    clearTimeout(this.#settling);
    clearTimeout(this.#settingBack);
    this.#settling = undefined;
    this.#settingBack = undefined;
    this.#position = 0;
    this.#mark = undefined;
    this.#createdAt = undefined;
    this.#forget?.();
    this.#forget = undefined;
  }
}

function isSame(a: ReadonlySet<number> | undefined, b: ReadonlySet<number> | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.size === b.size && [...a].every((shard) => b.has(shard));
}
