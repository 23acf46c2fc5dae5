// Two profiles become one because somebody says so: as when an event joins them, but also across what parted them before,
// and with `force` across a limit. A split undoes it.
import type { MergeCommand } from '../../../shared/contract/command.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import type { AuditFact } from '../../../shared/contract/outbox.ts';
import { KeyTally } from '../../identity/key-tally.ts';
import { evaluateAudiences } from '../audiences.ts';
import type { Draft } from '../draft.ts';
import { mergeProfiles, retire } from '../lifecycle.ts';
import { keyLists, type Profile } from '../profile.ts';
import type { Rules } from '../rules.ts';
import { withTimers } from '../timers.ts';
import { journeysEndedBy } from '../travel.ts';
import { type CommandDecision, done, livingProfile, refused } from './decide-command.ts';
import type { CommandInput } from './parse-command.ts';

export function mergeByHand(
  draft: Draft,
  command: MergeCommand,
  input: CommandInput,
  rules: Rules,
): CommandDecision {
  const found = [command.into, command.from].map((id) => livingProfile(draft, id, input, rules));
  const [into, from] = found;
  if (into?.kind !== 'profile') return into!;
  if (from?.kind !== 'profile') return from!;
  const survivor = into.profile;
  const other = from.profile;
  if (survivor.id === other.id) return done(input, [survivor.id]);
  const unfinished = [survivor, other].find(({ rebuilding }) => rebuilding);
  if (unfinished) return refused(input, 'being_rebuilt', `a split of ${unfinished.id} is not finished`);
  const held = new KeyTally().withValues(survivor.keys);
  const broken = held.withValues(other.keys).broken(rules.config, input.nowMs, held);
  if (broken && command.force !== true) return refused(input, broken.reason, broken.detail);
  const merged = mergeProfiles(survivor, other, rules.config, input.nowMs);
  retire(other, survivor.id, rules.config, input.nowMs, draft);
  const facts: AuditFact[] = [];
  const joined = withoutApartOf(merged, survivor, other);
  const { profile } = evaluateAudiences(joined, undefined, input.nowMs, rules, facts);
  draft.put(recordKeys.profile(survivor.id), withTimers(profile, rules, input.nowMs, facts, draft));
  const fact: AuditFact = {
    kind: 'profiles_merged',
    into: survivor.id,
    from: other.id,
    keys: keyLists(other),
    by: input.by,
    ...(broken && { forced: broken.detail }),
  };
  return done(input, [survivor.id], [fact, ...journeysEndedBy(survivor, other), ...facts]);
}

/** What parted the two is over. */
function withoutApartOf(merged: Profile, a: Profile, b: Profile): Profile {
  if (!merged.apart) return merged;
  const own = new Set([a.id, b.id, ...a.mergedFrom, ...b.mergedFrom]);
  const { apart, ...rest } = merged;
  const left = apart.filter(({ profileId }) => !own.has(profileId));
  return left.length === 0 ? rest : { ...rest, apart: left };
}
