// What the in-memory ports may do wrong, as probabilities per call. Drawn per seed, switched off to heal.
import type { World } from './world.ts';

export interface Faults {
  /** A replica read returns older committed versions of some keys. */
  readonly staleRead: number;
  readonly readFails: number;
  /** Committed, but the reply is lost. */
  readonly commitReplyLost: number;
  /** Never reaches the store. */
  readonly commitLost: number;
  /** The client hears nothing; the batch is committed later if its expectations hold then. */
  readonly commitDelayed: number;
  /** Only some messages of the batch arrive: it is never visible. */
  readonly commitAbandoned: number;
  readonly commitBusy: number;
  readonly commitRefused: number;
  /** A conflict does not say where. */
  readonly conflictUnnamed: number;
  /** Log requests that fail. */
  readonly logFails: number;
  /** A delivery of the log stands still for a while. */
  readonly readerStalls: number;
  /** The appender's reply is lost and the client sends the same messages again. */
  readonly appendRepeated: number;
  /** The list of members cannot be read, or a probe gets lost. */
  readonly membershipFails: number;
  /** Largest one-way latency, ms. */
  readonly latencyMaxMs: number;
}

export const NO_FAULTS: Faults = {
  staleRead: 0,
  readFails: 0,
  commitReplyLost: 0,
  commitLost: 0,
  commitDelayed: 0,
  commitAbandoned: 0,
  commitBusy: 0,
  commitRefused: 0,
  conflictUnnamed: 0,
  logFails: 0,
  readerStalls: 0,
  appendRepeated: 0,
  membershipFails: 0,
  latencyMaxMs: 3,
};

/** A different mixture for each seed: each kind of fault is absent, rare or frequent. */
export function drawFaults(world: World): Faults {
  const drawn: Record<string, number> = {};
  for (const name of Object.keys(NO_FAULTS)) drawn[name] = world.pick([0, 0.01, 0.05, 0.05, 0.2]);
  const staleRead = world.pick([0, 0.2, 0.7]);
  return { ...NO_FAULTS, ...drawn, staleRead, latencyMaxMs: world.pick([1, 3, 10, 40]) };
}
