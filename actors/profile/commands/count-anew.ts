// A profile whose attributes begin at nothing: what its events come to is counted from the log and added afterwards, as the
// second half of a split, or of a rebuild with the config of now.
import type { RebuildCommand } from '../../../shared/contract/command.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import type { Draft } from '../draft.ts';
import { withExpiry } from '../lifecycle.ts';
import { type HeldKeys, joinLists, keyLists, type Profile } from '../profile.ts';
import { begunBy, earlyOf, type Rebuilding } from '../rebuilding.ts';
import type { Rules } from '../rules.ts';
import { type CommandDecision, done, livingProfile, refused } from './decide-command.ts';
import type { CommandInput } from './parse-command.ts';

/**
 * The profile with these keys and nothing counted; until it is filled what it knows sets nothing off. `only`: these attributes
 * alone, while the others go on.
 */
export function countedAnew(
  profile: Profile,
  keys: HeldKeys,
  { id, nowMs }: CommandInput,
  only?: readonly string[],
): Profile {
  const { observed, stamps, ...kept } = profile;
  const rebuilding: Rebuilding = {
    splitId: id,
    profileId: profile.id,
    ...(only && { attributes: only }),
    sinceMs: profile.createdAtMs,
    keys: joinLists(profile.former, keyLists({ keys }), Number.MAX_SAFE_INTEGER) ?? {},
    after: {},
    early: earlyOf(stamps),
  };
  return {
    ...kept,
    keys,
    attributes: only ? without(profile.attributes, only) : {},
    updatedAtMs: Math.max(profile.updatedAtMs, nowMs),
    rebuilding: [rebuilding],
    ...(stamps && { stamps }),
    ...(only && observed && { observed }),
  };
}

function without<T>(
  record: Readonly<Record<string, T>>,
  names: readonly string[],
): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)));
}

/** The first half of a rebuild. What has fired stays fired. */
export function beginRebuild(
  draft: Draft,
  command: RebuildCommand,
  input: CommandInput,
  rules: Rules,
): CommandDecision {
  const found = livingProfile(draft, command.profileId, input, rules);
  if (found.kind !== 'profile') return found;
  const { profile } = found;
  // It has begun already: the command was sent again.
  const begun = begunBy(profile, input.id);
  if (begun.length > 0) return done(input, begun);
  if (profile.rebuilding)
    return refused(input, 'being_rebuilt', `profile ${profile.id} is being counted anew already`);
  const emptied = countedAnew(profile, profile.keys, input, command.attributes);
  draft.put(recordKeys.profile(profile.id), withExpiry(emptied, rules.config, draft));
  return done(input, [profile.id]);
}
