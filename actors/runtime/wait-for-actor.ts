// What happens when a message cannot be decided by the actor that there is: the newest one is asked for at once, and again
// after a while. The message keeps its place, and so do all behind it.
import type { Actor } from '../../shared/contract/actor.ts';
import type { Clock } from '../../shared/kernel/clock.ts';

const WAIT_MS = 100;

export interface ActorSource {
  readonly actor: () => Actor;
  /** Brings the newest actor, if this one is not it. Never rejects. */
  readonly refreshActor: () => Promise<void>;
  readonly clock: Clock;
}

/** Resolves when there is another actor than `known`, or when it is time to try again. */
export async function waitForActor(source: ActorSource, known: Actor, signal: AbortSignal): Promise<void> {
  const { clock, actor, refreshActor } = source;
  if (actor() !== known) return;
  await refreshActor();
  if (actor() === known) await clock.sleep(WAIT_MS, signal);
}
