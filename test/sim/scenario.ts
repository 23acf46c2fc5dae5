// What a run is about: the actor, what clients send, and the account that must come out at the end.
import type { Actor } from '../../shared/contract/actor.ts';
import type { LogMessage } from '../../shared/ports/event-log.ts';
import type { SimCopies } from './copies.ts';
import type { SimStore } from './store.ts';
import type { World } from './world.ts';

export interface SentMessage {
  readonly atMs: number;
  readonly shard: number;
  readonly payload: Uint8Array;
}

export interface Outcome {
  readonly store: SimStore;
  readonly copies: SimCopies;
  /** Every message that the log ever took. */
  readonly history: Iterable<LogMessage>;
  readonly shards: number;
}

export interface Scenario {
  actor(configVersion: number, shards: number): Actor;
  draw(world: World, shards: number, spanMs: number): readonly SentMessage[];
  /** Everything that is wrong; empty when all is well. */
  judge(outcome: Outcome): readonly string[];
  /** Every message leaves one outbox entry that names it: then each batch can be checked by itself. */
  readonly marksEachMessage: boolean;
  /** A record that cannot be read stands under this key from the start. */
  readonly damagedKey: string | undefined;
  /** Every alarm clock rings within the run. */
  readonly alarmsRing: boolean;
}

/** Configs go from 1 to this in a run. */
export const NEWEST_CONFIG = 2;
