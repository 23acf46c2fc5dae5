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
}

export type ProbeAnswer =
  | { readonly kind: 'alive'; readonly report: MemberReport }
  /** Nobody listens on its subject: the process is gone or cut off. */
  | { readonly kind: 'gone' }
  /** It did not answer in time: hung, or the network is. */
  | { readonly kind: 'silent' };

export interface Membership {
  /** Starts heartbeats and answers probes with `report()`. */
  join(id: string, report: () => MemberReport): Promise<void>;
  /** Stops both, so that others see the member gone at once. */
  leave(): Promise<void>;
  /** Ids with a live heartbeat, own id included while joined. Throws STORE_UNAVAILABLE. */
  members(): Promise<readonly string[]>;
  probe(id: string, timeoutMs: number): Promise<ProbeAnswer>;
  /** Calls back after each reconnection to the server. Returns a function that stops it. */
  onReconnect(callback: () => void): () => void;
}
