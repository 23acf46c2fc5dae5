// What a profile keeps of each attribute. Immutable, plain JSON; none of them depends on the order in which events came.

export interface SingleState {
  readonly kind: 'single';
  readonly value: unknown;
  /** Event time, and message id to break ties. */
  readonly atMs: number;
  readonly messageId: string;
}

/** Sums in micro-units (10^-6), so that they are exact and do not depend on the order of addition. */
export interface CounterState {
  readonly kind: 'counter';
  readonly total: number;
  /** By window name: [bucket number, sum] in bucket order. */
  readonly windows: Readonly<Record<string, readonly (readonly [number, number])[]>>;
  /** Of a counter that starts from a batch value. */
  readonly since?: SinceBatch;
}

/** Amounts by where they stand against a batch: by minute of event time, or by position in the log. */
export interface SinceBatch {
  readonly by: 'time' | 'position';
  /** So many minutes or positions make a block. */
  readonly grain: number;
  /** [block, sum in micro-units] in block order. */
  readonly sums: readonly (readonly [number, number])[];
}

/** Different values, by hash, in the order of the hashes. */
export interface DistinctState {
  readonly kind: 'distinct';
  /** [hash, event time of the last one in ms, rounded down to a bucket]. */
  readonly values: readonly (readonly [number, number])[];
  /** Only hashes below it are kept: there were more values than are counted exactly. Null: all are kept. */
  readonly cut: number | null;
}

/** When something was said: event time, and message id to break ties. */
export interface Mark {
  readonly atMs: number;
  readonly messageId: string;
}

export interface ListItem extends Mark {
  readonly id: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Size as JSON. */
  readonly bytes: number;
}

export interface RemovedItem extends Mark {
  readonly id: string;
}

export interface ListState {
  readonly kind: 'list';
  /** Oldest first. */
  readonly items: readonly ListItem[];
  /** What was taken out: an older addition that comes later does nothing. Oldest first. */
  readonly removed: readonly RemovedItem[];
  /** Everything up to here was taken out. */
  readonly cleared: Mark | null;
}

/** Smallest or greatest value. */
export interface ExtremeState {
  readonly kind: 'extreme';
  readonly value: number | string;
}

export interface AverageState {
  readonly kind: 'average';
  /** In micro-units. */
  readonly sum: number;
  readonly count: number;
}

export interface Frequency {
  readonly value: string | number | boolean;
  readonly count: number;
  /** Event time of the last one. */
  readonly atMs: number;
}

export interface FrequencyState {
  readonly kind: 'frequency';
  readonly counts: readonly Frequency[];
}

export interface Session {
  readonly startMs: number;
  readonly endMs: number;
  readonly events: number;
  /** By key event. */
  readonly counts: Readonly<Record<string, number>>;
  /** What the first event said. */
  readonly entry: (Mark & { readonly value: unknown }) | null;
}

export interface SessionState {
  readonly kind: 'sessions';
  /** Sessions before those that are kept. */
  readonly earlier: number;
  /** Oldest first; further apart than the gap. */
  readonly sessions: readonly Session[];
}

export type AttributeState =
  | SingleState
  | CounterState
  | DistinctState
  | ListState
  | ExtremeState
  | AverageState
  | FrequencyState
  | SessionState;

/** Negative when `a` was said before `b`. */
export function compareMarks(a: Mark, b: Mark): number {
  return a.atMs - b.atMs || (a.messageId < b.messageId ? -1 : a.messageId === b.messageId ? 0 : 1);
}
