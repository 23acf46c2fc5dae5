// The second half of a split, once for each side: what its events of before the split come to, counted by whoever read
// them from the log, is added to what has been counted since. A second time it does nothing.
import type { SplitFillCommand } from '../../../shared/contract/command.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import type { AuditFact } from '../../../shared/contract/outbox.ts';
import { joinAttributes } from '../../attributes/kinds.ts';
import type { AttributeState } from '../../attributes/states.ts';
import { evaluateAudiences } from '../audiences.ts';
import type { Draft } from '../draft.ts';
import { chase } from '../find-profiles.ts';
import { joinLists, OBSERVED_MAX, type Profile } from '../profile.ts';
import type { Rules } from '../rules.ts';
import { withTimers } from '../timers.ts';
import { type CommandDecision, done } from './decide-command.ts';
import type { CommandInput } from './parse-command.ts';

export function fillSplit(
  draft: Draft,
  command: SplitFillCommand,
  input: CommandInput,
  rules: Rules,
): CommandDecision {
  const end = chase(draft, command.profileId);
  if (end.kind === 'missing') return { kind: 'need', keys: [end.key] };
  // It came to its end meanwhile.
  if (end.kind === 'absent') return done(input, []);
  const { profile } = end;
  if (profile.configVersion > rules.configVersion)
    return { kind: 'wait', reason: `config version ${profile.configVersion} is in use already` };
  const open = profile.rebuilding ?? [];
  const others = open.filter(
    ({ splitId, profileId }) => splitId !== command.splitId || profileId !== command.profileId,
  );
  if (others.length === open.length) return done(input, [profile.id]);
  const { rebuilding: _, observed: observedSince, ...rest } = profile;
  const observed = joinLists(command.observed, observedSince, OBSERVED_MAX);
  const filled: Profile = {
    ...rest,
    attributes: joinAttributes(
      profile.attributes,
      command.attributes as Readonly<Record<string, AttributeState>>,
      rules.config,
      'parts',
    ),
    fired: { ...command.fired, ...profile.fired },
    updatedAtMs: Math.max(profile.updatedAtMs, input.nowMs),
    ...(observed && { observed }),
    ...(others.length > 0 && { rebuilding: others }),
  };
  const facts = [factOf(profile, command, input)];
  // What it came into or left long ago sets nothing off now.
  const { profile: settled } = evaluateAudiences(filled, undefined, input.nowMs, rules, facts);
  draft.put(recordKeys.profile(profile.id), withTimers(settled, rules, input.nowMs, facts, draft));
  return done(input, [profile.id], facts);
}

function factOf(
  profile: Profile,
  { splitId, events, keptFromMs }: SplitFillCommand,
  { by }: CommandInput,
): AuditFact {
  return {
    kind: 'profile_rebuilt',
    profileId: profile.id,
    splitId,
    events,
    by,
    ...(keptFromMs !== undefined && { incompleteBefore: new Date(keptFromMs).toISOString() }),
  };
}
