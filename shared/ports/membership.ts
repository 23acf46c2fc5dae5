// Who is alive. Liveness only: safety never depends on it.

export interface MemberReport {
  readonly id: string;
  readonly startedAtMs: number;
  /** Shards owned now. */
  readonly shards: readonly number[];
  /** Shards that stopped with an alarm, and why. */
  readonly halted: readonly { readonly shard: number; readonly code: string; readonly reason: string }[];
  /** Unread messages by shard, as far as the worker knows. */
  readonly lag: Readonly<Record<number, number>>;
  /** When the last commit of each owned shard succeeded, ms. */
  readonly lastCommitAtMs: Readonly<Record<number, number>>;
  readonly configVersion: number;
  /** Since when decisions are made by it, ms. */
  readonly configSinceMs?: number;
  /** Only in the answer to a detailed probe, of a worker that can tell. */
  readonly activity?: WorkerActivity;
}

/** What a worker has been doing, for people who look. Counts are since its start. */
export interface WorkerActivity {
  readonly conflicts: number;
  /** Shards lost to another owner. */
  readonly fences: number;
  readonly unknownOutcomes: number;
  readonly deadLetters: number;
  /** Over the last seconds. */
  readonly commitsPerSecond: number;
  readonly eventsPerSecond: number;
  /** Records in memory. */
  readonly residents: { readonly count: number; readonly bytes: number };
  /** Records written most and conflicting most in the last minutes, most first. */
  readonly hotWrites: readonly HotRecord[];
  readonly hotConflicts: readonly HotRecord[];
}

export interface HotRecord {
  /** Record key; a stitching key's value is not in it. */
  readonly record: string;
  /** At least so often. */
  readonly count: number;
}

export type ProbeAnswer =
  | { readonly kind: 'alive'; readonly report: MemberReport }
  /** Nobody listens on its subject: the process is gone or cut off. */
  | { readonly kind: 'gone' }
  /** It did not answer in time: hung, or the network is. */
  | { readonly kind: 'silent' };

export interface Membership {
  /** Starts heartbeats and answers probes with `report()`. */
  join(id: string, report: (detailed?: boolean) => MemberReport): Promise<void>;
  /** Stops both, so that others see the member gone at once. */
  leave(): Promise<void>;
  /** Ids with a live heartbeat, own id included while joined. Throws STORE_UNAVAILABLE. */
  members(): Promise<readonly string[]>;
  /** Asks a member. `detailed` asks for what it has been doing as well. */
  probe(id: string, timeoutMs: number, detailed?: boolean): Promise<ProbeAnswer>;
  /** Calls back after each reconnection to the server. Returns a function that stops it. */
  onReconnect(callback: () => void): () => void;
}
