// Stamps: messages that were applied to a profile by a plain write, without their shard's checkpoint. Until a checkpoint
// is behind it, a message may be read again; its stamp, stored with what it did, keeps it from being applied twice.
import type { ActorMessage } from '../../shared/contract/actor.ts';
import { sha256 } from '../../shared/kernel/hash.ts';
import type { Profile } from './profile.ts';

export interface Stamp {
  readonly shard: number;
  readonly sequence: number;
  /** 32 bits of the payload: a log that was restored from an older copy uses its sequences again. */
  readonly hash: number;
}

/** Stamps of a profile, at most: beyond that its events go with their checkpoint. */
export const STAMPS_MAX = 32;

const NONE: readonly Stamp[] = [];

/** Whether the message has been applied to the profile, or to one that was merged into it. */
export function isStamped({ stamps = NONE }: Profile, message: ActorMessage): boolean {
  return stamps.some(
    ({ shard, sequence, hash }) =>
      shard === message.shard && sequence === message.sequence && hash === hashOf(message),
  );
}

/** The profile with stamps of the messages, without those that are settled; undefined when that would be too many. */
export function stamped(
  profile: Profile,
  messages: readonly ActorMessage[],
  isSettled: (shard: number, sequence: number) => boolean,
): Profile | undefined {
  const open = (profile.stamps ?? NONE).filter(({ shard, sequence }) => !isSettled(shard, sequence));
  if (open.length + messages.length > STAMPS_MAX) return undefined;
  const added = messages.map((message) => ({
    shard: message.shard,
    sequence: message.sequence,
    hash: hashOf(message),
  }));
  return { ...profile, stamps: [...open, ...added] };
}

/** All stamps of both: one that was applied to either was applied to what they become. */
export function mergeStamps({ stamps: a }: Profile, { stamps: b }: Profile): readonly Stamp[] | undefined {
  return a && b ? [...a, ...b] : (a ?? b);
}

function hashOf({ payload }: ActorMessage): number {
  return sha256(payload).readUInt32LE(0);
}
