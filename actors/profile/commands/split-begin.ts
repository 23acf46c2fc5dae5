// The first half of a split, in one commit: keys leave a profile for another, which is new or was merged into it, and the
// two never join again by themselves. Their attributes begin at nothing; those of before follow with the second half.
import type { SplitBeginCommand } from '../../../shared/contract/command.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import type { AuditFact } from '../../../shared/contract/outbox.ts';
import type { Draft } from '../draft.ts';
import { chase, missingLinks } from '../find-profiles.ts';
import { REDIRECT_TIMER, withExpiry } from '../lifecycle.ts';
import { withoutKey } from '../place-keys.ts';
import { type HeldKey, type HeldKeys, holdsKey, type Link, type Profile, type Redirect } from '../profile.ts';
import { begunBy } from '../rebuilding.ts';
import type { Rules } from '../rules.ts';
import { countedAnew } from './count-anew.ts';
import { type CommandDecision, done, livingProfile, refused } from './decide-command.ts';
import { divideMerges, type MergeShares } from './divide-merges.ts';
import type { CommandInput } from './parse-command.ts';

/** All links are written by one commit. */
const KEYS_MAX = 600;

interface KeyName {
  readonly name: string;
  readonly value: string;
}

export function beginSplit(
  draft: Draft,
  command: SplitBeginCommand,
  input: CommandInput,
  rules: Rules,
): CommandDecision {
  const found = livingProfile(draft, command.profileId, input, rules);
  if (found.kind !== 'profile') return found;
  const whole = found.profile;
  const { newProfileId } = command;
  // It has begun already: the command was sent again.
  const begun = begunBy(whole, input.id);
  if (begun.length > 0) return done(input, [...new Set([...begun, newProfileId])]);
  if (whole.rebuilding) return refused(input, 'being_rebuilt', `a split of ${whole.id} is not finished`);
  const other = draft.get(recordKeys.profile(newProfileId)) as Profile | Redirect | null | undefined;
  if (other === undefined) return { kind: 'need', keys: [recordKeys.profile(newProfileId)] };
  if (other?.kind === 'profile')
    return refused(input, 'id_in_use', `${newProfileId} is the id of a living profile`);
  const end = chase(draft, newProfileId);
  if (end.kind === 'missing') return { kind: 'need', keys: [end.key] };
  const isOurs = end.kind === 'profile' && end.profile.id === whole.id;
  if (other !== null && !isOurs)
    return refused(input, 'not_merged', `${newProfileId} is no part of ${whole.id}`);
  const taken = takenKeys(whole, command, other, input);
  if ('kind' in taken) return taken;
  const shares = divideMerges(draft, whole, other === null ? undefined : newProfileId);
  const missing = [...missingLinks(draft, whole), ...shares.missing];
  if (missing.length > 0) return { kind: 'need', keys: missing };
  return divide(draft, { whole, other, taken, shares }, { command, input, rules });
}

/** The keys that leave, or why they cannot. */
function takenKeys(
  whole: Profile,
  { keys, newProfileId }: SplitBeginCommand,
  other: Redirect | null,
  input: CommandInput,
): readonly KeyName[] | CommandDecision {
  const wanted = keys ?? other?.was?.keys;
  if (!wanted)
    return refused(input, 'not_merged', `it is not known which keys ${newProfileId} had: name them`);
  const all = [
    ...new Set(Object.entries(wanted).flatMap(([name, list]) => list.map((v) => `${name}\n${v}`))),
  ];
  const named = all.map((text): KeyName => {
    const [name, ...value] = text.split('\n');
    return { name: name!, value: value.join('\n') };
  });
  const held = named.filter(({ name, value }) => holdsKey(whole, name, value));
  if (named.length === 0) return refused(input, 'no_keys', 'no key is named');
  const strange = named.find((key) => !held.includes(key));
  if (strange && (keys !== null || held.length === 0)) {
    const what = keys === null ? `any key that ${newProfileId} had` : `${strange.name} ${strange.value}`;
    return refused(input, 'not_held', `profile ${whole.id} does not have ${what}`);
  }
  const count = Object.values(whole.keys).reduce((sum, list) => sum + list.length, 0);
  if (held.length === count)
    return refused(input, 'all_keys', `profile ${whole.id} would be left without keys`);
  if (count > KEYS_MAX)
    return refused(input, 'too_many_keys', `profile ${whole.id} has ${count} keys, more than ${KEYS_MAX}`);
  return held;
}

interface Parts {
  readonly whole: Profile;
  readonly other: Redirect | null;
  readonly taken: readonly KeyName[];
  readonly shares: MergeShares;
}

interface Context {
  readonly command: SplitBeginCommand;
  readonly input: CommandInput;
  readonly rules: Rules;
}

function divide(draft: Draft, parts: Parts, { command, input, rules }: Context): CommandDecision {
  const { whole, other, taken, shares } = parts;
  const { newProfileId, reason } = command;
  const staying = taken.reduce((keys, { name, value }) => withoutKey(keys, name, value), whole.keys);
  const leaving = without(whole.keys, staying);
  const rest = emptied(whole, staying, newProfileId, input);
  const left: Profile = {
    ...rest,
    createdAtMs: other?.was ? Math.max(whole.createdAtMs, firstSeen(staying)) : whole.createdAtMs,
    mergedFrom: shares.staying,
    mergedCount: Math.max(shares.staying.length, whole.mergedCount - shares.leavingCount),
  };
  const { audiences: _, ...unsorted } = whole;
  const fresh: Profile = {
    ...emptied({ ...unsorted, id: newProfileId }, leaving, whole.id, input),
    createdAtMs: other?.was?.createdAtMs ?? firstSeen(leaving),
    timers: {},
    generation: Math.max(other?.generation ?? 0, whole.generation) + 1,
    mergedFrom: shares.leaving,
    mergedCount: shares.leaving.length,
  };
  for (const [profile, keys] of [
    [left, staying],
    [fresh, leaving],
  ] as const)
    rewriteLinks(draft, profile.id, keys, input);
  if (other) draft.cancel(newProfileId, REDIRECT_TIMER);
  draft.put(recordKeys.profile(left.id), withExpiry(left, rules.config, draft));
  draft.put(recordKeys.profile(fresh.id), withExpiry(fresh, rules.config, draft));
  const { by } = input;
  const facts: AuditFact[] = [
    {
      kind: 'profile_split',
      profileId: whole.id,
      into: newProfileId,
      keys: Object.fromEntries(Object.entries(leaving).map(([name, list]) => [name, list.map(textOf)])),
      splitId: input.id,
      revived: other !== null,
      by,
    },
    ...taken.map((key): AuditFact => ({ kind: 'key_evicted', profileId: whole.id, key, reason, by })),
  ];
  return done(input, [whole.id, newProfileId], facts);
}

/** One side at the moment of the split: its keys, nothing counted, and what the whole knew of applied messages. */
function emptied(side: Profile, keys: HeldKeys, apartFrom: string, input: CommandInput): Profile {
  const { nowMs } = input;
  return {
    ...countedAnew(side, keys, input),
    fired: {},
    apart: [...(side.apart ?? []), { profileId: apartFrom, atMs: nowMs }],
  };
}

/** Points the links of a side's keys straight at it. Whose the keys were before stays as it is. */
function rewriteLinks(draft: Draft, profileId: string, keys: HeldKeys, { id, nowMs }: CommandInput): void {
  for (const [name, held] of Object.entries(keys)) {
    for (const { value } of held) {
      const key = recordKeys.link(name, value);
      const link = draft.get(key) as Link | null;
      if (link?.profileId === profileId) continue;
      const base: Omit<Link, 'profileId'> = link ?? { kind: 'link', atMs: nowMs, source: id };
      draft.put(key, { ...base, profileId, source: id });
    }
  }
}

function without(keys: HeldKeys, staying: HeldKeys): HeldKeys {
  const gone = Object.entries(keys).map(([name, held]) => {
    const kept = new Set((staying[name] ?? []).map(textOf));
    return [name, held.filter(({ value }) => !kept.has(value))] as const;
  });
  return Object.fromEntries(gone.filter(([, held]) => held.length > 0));
}

function firstSeen(keys: HeldKeys): number {
  return Math.min(...Object.values(keys).flatMap((held) => held.map(({ firstSeenMs }) => firstSeenMs)));
}

function textOf({ value }: HeldKey): string {
  return value;
}
