// Highest-random-weight hashing (Thaler and Ravishankar, 1998): each shard goes to the member with the highest score,
// so that a member that joins or leaves moves only its own shards.
import { hash32 } from '../../shared/kernel/hash.ts';

/** The member that should own the shard; undefined when there are no members. */
export function preferredOwner(shard: number, members: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestScore = -1;
  for (const member of members) {
    const score = hash32(`${shard}@${member}`);
    if (score > bestScore || (score === bestScore && best !== undefined && member < best)) {
      best = member;
      bestScore = score;
    }
  }
  return best;
}
