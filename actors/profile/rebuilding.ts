// A profile whose attributes are being counted anew, after a split: from then on it counts as usual, and what happened
// before is read from the log again and added. What was applied when is told by the log itself: each shard is applied in
// order, so the first message of a shard that was applied after the split divides it in two.
import type { ActorMessage } from '../../shared/contract/actor.ts';
import type { KeyLists, Profile } from './profile.ts';
import type { Stamp } from './stamps.ts';

export interface Rebuilding {
  readonly splitId: string;
  /** The profile that it was at the split: since then it may have become part of another. */
  readonly profileId: string;
  /** Only these attributes; undefined: all of them. */
  readonly attributes?: readonly string[];
  /** Log time before which nothing had happened to it. */
  readonly sinceMs: number;
  /** The keys that its events may have, also those that it had lost by then. */
  readonly keys: KeyLists;
  /** By shard: the sequence of the first message that was applied to it since. */
  readonly after: Readonly<Record<number, number>>;
  /** Applied before, though the checkpoint of their shard did not say so: they may stand behind that first message. */
  readonly early: readonly (readonly [shard: number, sequence: number])[];
}

/** Whether what the profile knows is not complete: it sets nothing off. */
export function isIncomplete({ rebuilding }: Profile): boolean {
  return rebuilding?.some(({ attributes }) => attributes === undefined) ?? false;
}

/** Whether a profile does not know yet what some of these attributes come to: what speaks of them sets nothing off. */
export function isUnknown({ rebuilding }: Profile, attributes: ReadonlySet<string>): boolean {
  if (!rebuilding) return false;
  return rebuilding.some((part) => !part.attributes || part.attributes.some((name) => attributes.has(name)));
}

/** The profiles of a split or rebuild that are still to be filled as parts of this one: it may have taken them in since. */
export function begunBy({ rebuilding }: Profile, splitId: string): readonly string[] {
  return (rebuilding ?? []).filter((part) => part.splitId === splitId).map(({ profileId }) => profileId);
}

/** A message of the log, as far as it matters when it was applied. */
type Place = Pick<ActorMessage, 'shard' | 'sequence'>;

/** The profile after a message was applied to it. */
export function noteSince(profile: Profile, { shard, sequence }: Place): Profile {
  const { rebuilding } = profile;
  if (!rebuilding?.some(({ after }) => after[shard] === undefined)) return profile;
  const noted = rebuilding.map((part) =>
    part.after[shard] === undefined ? { ...part, after: { ...part.after, [shard]: sequence } } : part,
  );
  return { ...profile, rebuilding: noted };
}

/** Whether a message that was applied to the profile was applied before the split: its effect is to be counted again. */
export function isBefore({ after, early }: Rebuilding, { shard, sequence }: Place): boolean {
  const first = after[shard];
  if (first === undefined || sequence < first) return true;
  return early.some(([other, at]) => other === shard && at === sequence);
}

/** Stamps as the rebuilding remembers them. */
export function earlyOf(stamps: readonly Stamp[] = []): Rebuilding['early'] {
  return stamps.map(({ shard, sequence }) => [shard, sequence]);
}
