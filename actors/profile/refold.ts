// Counts anew what the events of a profile come to, as the second half of a split: its events of before the split, in the
// order of the log, over an empty profile, with the config of now. Pure: it is fed messages and records.
import type { ActorMessage } from '../../shared/contract/actor.ts';
import type { SplitFillCommand } from '../../shared/contract/command.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { keysOf } from '../identity/keys.ts';
import { type AppliedEvent, applyEvent, matchKeyEvents } from './apply-event.ts';
import { evaluateAudiences } from './audiences.ts';
import type { EventInput } from './decide-event.ts';
import { pastOwner } from './find-profiles.ts';
import { newProfile } from './lifecycle.ts';
import { parseMessage, readEnvelope } from './parse-message.ts';
import { joinLists, type KeyLists, type Link, OBSERVED_MAX, type Profile } from './profile.ts';
import { isBefore, type Rebuilding } from './rebuilding.ts';
import type { Rules } from './rules.ts';
import { runAudienceTriggers, runTriggers } from './triggers.ts';

/** One side of a split. */
export interface RefoldSide {
  /** As it is when every message to be read is applied. */
  readonly profile: Profile;
  readonly rebuilding: Rebuilding;
}

/** Record keys of the links that say whose the events of a side are. */
export function linksOfSide({ rebuilding }: RefoldSide): readonly string[] {
  return Object.entries(rebuilding.keys).flatMap(([name, values]) =>
    values.map((value) => recordKeys.link(name, value)),
  );
}

/** Profile ids that a link names: whoever reads has to find out whom they stand for now. */
export function idsOfLink(link: Link): readonly string[] {
  return [link.profileId, ...(link.past ?? []).map(({ profileId }) => profileId)].flatMap((id) => id ?? []);
}

/**
 * Before the first event that gave a profile a key, the key may have been of a profile that has come to its end: no
 * nearer to it than this share of the shortest retention. Nearer events of other shards were only applied later.
 */
const EARLIER_SHARE = 0.5;
/** Shards are read side by side: so many events of the profile are held to be put in order. */
const SORTED_AT_ONCE = 50_000;

export class Refold {
  readonly #side: RefoldSide;
  readonly #rules: Rules;
  readonly #links: ReadonlyMap<string, Link | null>;
  readonly #living: ReadonlyMap<string, string>;
  readonly #candidates: ReadonlySet<string>;
  readonly #notBefore: ReadonlyMap<string, number>;
  readonly #counted = new Set<string>();
  readonly #facts: AuditFact[] = [];
  readonly #waiting: EventInput[] = [];
  #folded: Profile;
  #observed: KeyLists | undefined;

  /** `links`: of `linksOfSide`. `living`: the profile that each id of theirs stands for now. */
  constructor(
    side: RefoldSide,
    rules: Rules,
    links: ReadonlyMap<string, Link | null>,
    living: ReadonlyMap<string, string>,
  ) {
    this.#side = side;
    this.#rules = rules;
    this.#links = links;
    this.#living = living;
    this.#candidates = new Set(linksOfSide(side));
    this.#notBefore = beginnings(side, rules);
    const { profile, rebuilding } = side;
    const { id, keys, batch } = profile;
    const empty = newProfile(id, rebuilding.sinceMs, rules.configVersion);
    this.#folded = { ...empty, keys, ...(batch && { batch }) };
  }

  /** Record keys of the links by which messages are this side's: of others nothing is counted. */
  get candidates(): ReadonlySet<string> {
    return this.#candidates;
  }

  /** Counts a message if it is an event of this side that was applied before the split. */
  consider(message: ActorMessage): void {
    const linkKey = linkOfEvent(message, this.#rules.config);
    if (linkKey === undefined || !this.#candidates.has(linkKey)) return;
    if (message.nowMs < (this.#notBefore.get(linkKey) ?? 0)) return;
    if (!isBefore(this.#side.rebuilding, message)) return;
    const parsed = parseMessage(message, this.#rules.config);
    if (parsed.kind !== 'event' || !this.#isOurs(linkKey, parsed.input)) return;
    this.#waiting.push(parsed.input);
    if (this.#waiting.length >= SORTED_AT_ONCE) this.#countWaiting();
  }

  /** What there is to fill in. */
  result(): Pick<SplitFillCommand, 'attributes' | 'fired' | 'observed' | 'events'> {
    this.#countWaiting();
    const { attributes, fired } = this.#folded;
    const { attributes: only } = this.#side.rebuilding;
    if (!only) return { attributes, fired, observed: this.#observed ?? {}, events: this.#counted.size };
    const named = Object.fromEntries(Object.entries(attributes).filter(([name]) => only.includes(name)));
    return { attributes: named, fired: {}, observed: {}, events: this.#counted.size };
  }

  /** Whether the key was this profile's when the event happened. */
  #isOurs(linkKey: string, { event }: EventInput): boolean {
    const link = this.#links.get(linkKey);
    if (!link) return false;
    const owner = pastOwner(link, event.atMs) ?? link.profileId;
    return owner !== null && this.#living.get(owner) === this.#side.profile.id;
  }

  /** In the order of the log: attributes do not depend on it, what fires once does. */
  #countWaiting(): void {
    this.#waiting.sort((a, b) => a.message.sequence - b.message.sequence);
    for (const input of this.#waiting) this.#count(input);
    this.#waiting.length = 0;
  }

  #count({ event, keys }: EventInput): void {
    if (this.#counted.has(event.messageId)) return;
    this.#counted.add(event.messageId);
    this.#facts.length = 0;
    const hits = matchKeyEvents(event, this.#rules, this.#facts);
    const applied = applyEvent(this.#folded, event, hits, this.#rules, this.#facts);
    // What it would set off has been set off; only the marks of what fires once are wanted.
    const marked = runTriggers(applied, event, hits, this.#rules, this.#facts).profile;
    this.#folded = this.#withMarksOfAudiences(marked, event);
    for (const { config, value } of keys.observed)
      this.#observed = joinLists(this.#observed, { [config.name]: [value] }, OBSERVED_MAX);
  }

  /** Audiences also set off what fires once: as far as events show it. */
  #withMarksOfAudiences(profile: Profile, { messageId, nowMs }: AppliedEvent): Profile {
    if (!this.#rules.audiencesMark) return profile;
    const before = this.#counted.size > 1 ? this.#folded : undefined;
    const looked = evaluateAudiences(profile, before, nowMs, this.#rules, this.#facts);
    const cause = { id: messageId, nowMs };
    return runAudienceTriggers(looked.profile, looked.changes, cause, this.#rules, this.#facts).profile;
  }
}

/** Record key of the link of an event's strongest usable key: by it the event is somebody's. */
export function linkOfEvent(
  { payload }: Pick<ActorMessage, 'payload'>,
  config: SegmentConfig,
): string | undefined {
  const envelope = readEnvelope(payload);
  if (envelope?.type !== 'event') return undefined;
  const [strongest] = keysOf(config, envelope.event).usable;
  return strongest && recordKeys.link(strongest.config.name, strongest.value);
}

/** Log time from which on events of a key count. Keys that the profile has lost: from its own beginning on. */
function beginnings({ profile, rebuilding }: RefoldSide, { config }: Rules): ReadonlyMap<string, number> {
  const { anonymousMs, knownMs } = config.stitching.retention;
  const shortest = Math.min(anonymousMs ?? Number.POSITIVE_INFINITY, knownMs ?? Number.POSITIVE_INFINITY);
  const marginMs = shortest * EARLIER_SHARE;
  const entries = Object.entries(rebuilding.keys).flatMap(([name, values]) =>
    values.map((value): [string, number] => {
      const held = profile.keys[name]?.find((key) => key.value === value);
      // One that it lost and got back: what it had it for before counts too.
      const isBack = profile.former?.[name]?.includes(value) === true;
      const sinceMs = held && !isBack ? held.firstSeenMs : rebuilding.sinceMs;
      return [recordKeys.link(name, value), sinceMs - marginMs];
    }),
  );
  return new Map(entries);
}
