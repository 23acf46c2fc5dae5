// One customer event, decided: keys -> profile (create, attach, merge, refuse), then attributes, then triggers.
import type { ActorMessage } from '../../shared/contract/actor.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { uuidV7From } from '../../shared/kernel/hash.ts';
import type { EventKeys, RejectedKey } from '../identity/keys.ts';
import { resolveKeys, survivorOf } from '../identity/resolve.ts';
import { type AppliedEvent, applyEvent, matchKeyEvents } from './apply-event.ts';
import type { Draft } from './draft.ts';
import { expireProfile } from './expire.ts';
import { findHolders, type KeyHolder, type Need } from './find-profiles.ts';
import { endOf, mergeProfiles, newProfile, retire, withExpiry } from './lifecycle.ts';
import type { HeldKey, HeldKeys, Profile } from './profile.ts';
import type { Rules } from './rules.ts';
import { hasSeen } from './seen.ts';
import { isStamped } from './stamps.ts';
import { runTriggers } from './triggers.ts';

export interface EventInput {
  readonly message: ActorMessage;
  readonly event: AppliedEvent;
  readonly keys: EventKeys;
  /** Record keys of the links of the usable keys, in their order. */
  readonly linkKeys: readonly string[];
  /** Makes the id of a profile that this event creates. */
  readonly idEntropy: string;
}

export type EventDecision =
  | {
      readonly kind: 'done';
      /** The profile that was changed. */
      readonly profileId: string | undefined;
      /** The profile that the event belongs to, changed or not. */
      readonly belongsTo: string | undefined;
      readonly facts: readonly AuditFact[];
    }
  | { readonly kind: 'wait'; readonly reason: string }
  | Need;

const SHOWN_MAX = 200;

export function decideEvent(draft: Draft, input: EventInput, rules: Rules): EventDecision {
  const facts: AuditFact[] = input.keys.rejected.map(rejectedFact);
  if (input.keys.usable.length === 0)
    return { kind: 'done', profileId: undefined, belongsTo: undefined, facts };
  const found = findHolders(draft, input.keys.usable, input.linkKeys);
  if (found.kind === 'need') return found;
  const newer = found.holders.find(({ holder }) => holder && holder.configVersion > rules.configVersion);
  if (newer)
    return { kind: 'wait', reason: `config version ${newer.holder?.configVersion} is in use already` };
  const applied = found.holders.find(({ holder }) => holder && isStamped(holder, input.message));
  if (applied) return { kind: 'done', profileId: undefined, belongsTo: applied.holder!.id, facts: [] };
  const alive = withoutExpired(draft, found.holders, input.event.nowMs, rules, facts);
  if ('kind' in alive) return alive;
  return stitch(draft, alive, input, rules, facts);
}

/** Timers that are due run before the event: a profile whose time is over ends, and the event begins a new one. */
function withoutExpired(
  draft: Draft,
  holders: readonly KeyHolder[],
  nowMs: number,
  rules: Rules,
  facts: AuditFact[],
): readonly KeyHolder[] | Need {
  const ended = new Set<Profile>();
  const eventLinks = new Set(holders.map(({ linkKey }) => linkKey));
  for (const { holder } of holders) {
    const end = holder && !ended.has(holder) ? endOf(holder, rules.config) : null;
    if (!holder || end === null || end > nowMs) continue;
    const expired = expireProfile(draft, holder, nowMs, eventLinks);
    if (expired.kind === 'need') return expired;
    facts.push(...expired.facts);
    ended.add(holder);
  }
  if (ended.size === 0) return holders;
  return holders.map((held) =>
    held.holder && ended.has(held.holder) ? { ...held, holder: undefined, link: null } : held,
  );
}

function stitch(
  draft: Draft,
  candidates: readonly KeyHolder[],
  input: EventInput,
  rules: Rules,
  facts: AuditFact[],
): EventDecision {
  const { event } = input;
  const { accepted, demoted, holders } = resolveKeys(candidates, rules.config);
  const knowing = holders.find((profile) => hasSeen(profile.seen, event.seenId));
  if (knowing) {
    // A duplicate changes nothing; what had come to its end before it has.
    const ended = facts.filter(({ kind }) => kind === 'profile_expired');
    return { kind: 'done', profileId: undefined, belongsTo: knowing.id, facts: ended };
  }
  for (const { key, holder, linkKey, reason } of demoted as readonly (KeyHolder & { reason: string })[]) {
    // The refusal stands on the other profile as it is now, or on the key being nobody's.
    draft.guard(holder ? recordKeys.profile(holder.id) : linkKey);
    const shown = { name: key.config.name, value: key.value };
    facts.push({ kind: holder ? 'link_refused' : 'key_demoted', key: shown, reason, heldBy: holder?.id });
  }
  const joined = joinHolders(draft, holders, input, rules, facts);
  const attached = attachKeys(draft, joined, accepted as readonly KeyHolder[], event, facts);
  const hits = matchKeyEvents(event, rules, facts);
  const applied = applyEvent(attached, event, hits, rules, facts);
  const { profile, activations } = runTriggers(applied, event, hits, rules, facts);
  for (const activation of activations) draft.activation(activation);
  draft.put(recordKeys.profile(profile.id), withExpiry(profile, rules.config, draft));
  return { kind: 'done', profileId: profile.id, belongsTo: profile.id, facts };
}

/** The one profile that the accepted keys stand for: new, known, or several merged. */
function joinHolders(
  draft: Draft,
  holders: readonly Profile[],
  input: EventInput,
  rules: Rules,
  facts: AuditFact[],
): Profile {
  const { nowMs } = input.event;
  if (holders.length === 0) {
    const id = uuidV7From(nowMs, input.idEntropy);
    facts.push({ kind: 'profile_added', profileId: id });
    return newProfile(id, nowMs, rules.configVersion);
  }
  const survivor = survivorOf(holders, rules.config);
  let merged = survivor;
  for (const other of holders) {
    if (other === survivor) continue;
    merged = mergeProfiles(merged, other, nowMs);
    retire(other, survivor.id, rules.config, nowMs, draft);
    facts.push({ kind: 'profiles_merged', into: survivor.id, from: other.id });
  }
  return merged;
}

/** Lists the keys that are new to the profile, and points every link of the event straight at it. */
function attachKeys(
  draft: Draft,
  profile: Profile,
  accepted: readonly KeyHolder[],
  event: AppliedEvent,
  facts: AuditFact[],
): Profile {
  let keys = profile.keys;
  for (const { key, linkKey, link } of accepted) {
    const { name } = key.config;
    // A link that was not read leads to a profile that lists the key, if need be by a redirect.
    if (link !== undefined && link?.profileId !== profile.id) {
      if (link?.profileId) noteUse(draft, link.profileId, event.nowMs);
      draft.put(linkKey, { kind: 'link', profileId: profile.id, atMs: event.nowMs, source: event.messageId });
    }
    const known = keys[name]?.find(({ value }) => value === key.value);
    if (known) {
      keys = withUse(keys, name, known, event.nowMs);
      continue;
    }
    const { nowMs, messageId } = event;
    const held = { value: key.value, firstSeenMs: nowMs, lastSeenMs: nowMs, source: messageId };
    keys = { ...keys, [name]: [...(keys[name] ?? []), held] };
    facts.push({ kind: 'key_attached', profileId: profile.id, key: { name, value: key.value } });
  }
  return keys === profile.keys ? profile : { ...profile, keys };
}

/** Last use is kept to the minute, so that most events leave the list of keys as it is. */
const USE_PRECISION_MS = 60_000;

function withUse(keys: HeldKeys, name: string, known: HeldKey, nowMs: number): HeldKeys {
  if (nowMs < known.lastSeenMs + USE_PRECISION_MS) return keys;
  return {
    ...keys,
    [name]: keys[name]!.map((held) => (held === known ? { ...held, lastSeenMs: nowMs } : held)),
  };
}

/** A redirect that was followed is kept for its time from now on. */
function noteUse(draft: Draft, retiredId: string, nowMs: number): void {
  const key = recordKeys.profile(retiredId);
  const state = draft.get(key);
  if (state?.kind === 'redirect' && state.atMs < nowMs) draft.put(key, { ...state, atMs: nowMs });
}

function rejectedFact({ name, value, reason }: RejectedKey): AuditFact {
  return { kind: 'key_rejected', key: { name, value: value.slice(0, SHOWN_MAX) }, reason };
}
