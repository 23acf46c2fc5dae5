// Which of an event's keys may stand on one profile together. The strongest key decides whose event it is; a weaker key
// is taken in unless the profile that would come of it broke a rule. Then it is left out, or it moves, but two profiles
// never become one across a broken limit: a device or contact never joins different values of a limit-1 key.
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { RefuseReason } from '../../shared/contract/outbox.ts';
import { type BrokenLimit, type HeldValue, KeyTally, type KeyValues } from './key-tally.ts';
import type { EventKey } from './keys.ts';

export interface Holder {
  readonly id: string;
  readonly createdAtMs: number;
  readonly keys: KeyValues;
  /** Ids that it was parted from by hand. */
  readonly apart?: readonly { readonly profileId: string }[];
  /** Ids of profiles that have become part of it. */
  readonly mergedFrom: readonly string[];
}

export interface Candidate<H extends Holder> {
  readonly key: EventKey;
  /** The profile that holds the key now; of an event of the past, the one that held it then. */
  readonly holder: H | undefined;
  /** The key had this holder (or none) when the event happened, and has another now. */
  readonly isPast: boolean;
  /** Several persons use the value: it joins nothing. */
  readonly isShared: boolean;
  /** Values of other keys that it was seen with. */
  readonly touches: Readonly<Record<string, readonly string[]>>;
}

export interface Refused<H extends Holder> {
  readonly candidate: Candidate<H>;
  readonly reason: RefuseReason;
  readonly detail: string;
}

export interface Resolution<C> {
  /** Strongest first. */
  readonly accepted: readonly C[];
  readonly refused: readonly {
    readonly candidate: C;
    readonly reason: RefuseReason;
    readonly detail: string;
  }[];
  /** Of the accepted: those that leave the profile that holds them. */
  readonly moved: readonly C[];
  /** Of the refused: those that leave their holder and are nobody's from now on. */
  readonly freed: readonly C[];
  /** Values that the profile loses to make room. */
  readonly evicted: readonly (HeldValue & { readonly reason: 'replaced' | 'max_keys' })[];
}

/** Takes the candidates, strongest first, one by one. Pure and deterministic. */
export function resolveKeys<H extends Holder, C extends Candidate<H>>(
  candidates: readonly C[],
  config: SegmentConfig,
  /** Event time: windows of limits end there. */
  atMs: number,
): Resolution<C> & { readonly holders: readonly H[] } {
  const [first] = candidates;
  // The usual case: everything on the event belongs to one profile already.
  if (first?.holder && candidates.every((one) => one.holder === first.holder && hasNoRule(one))) {
    return { accepted: candidates, refused: [], moved: [], freed: [], evicted: [], holders: [first.holder] };
  }
  const making = new Making<H, C>(config, atMs);
  for (const candidate of candidates) making.consider(candidate);
  return making;
}

/** Nothing to look at but who holds it. */
function hasNoRule({ key, isPast, isShared }: Candidate<Holder>): boolean {
  return !isPast && !isShared && Object.keys(key.config.links).length === 0;
}

/** The profile in the making, and what became of the candidates so far. */
class Making<H extends Holder, C extends Candidate<H>> implements Resolution<C> {
  readonly accepted: C[] = [];
  readonly refused: { candidate: C; reason: RefuseReason; detail: string }[] = [];
  readonly moved: C[] = [];
  readonly freed: C[] = [];
  readonly evicted: (HeldValue & { reason: 'replaced' | 'max_keys' })[] = [];
  readonly holders: H[] = [];
  readonly #config: SegmentConfig;
  readonly #atMs: number;
  /** Profiles that cannot become one with this one, as one of the event's keys has shown. */
  readonly #opposed = new Map<H, BrokenLimit>();
  #tally = new KeyTally();

  constructor(config: SegmentConfig, atMs: number) {
    this.#config = config;
    this.#atMs = atMs;
  }

  consider(candidate: C): void {
    const { key, holder, isPast, isShared } = candidate;
    const isFirst = this.accepted.length === 0;
    const isKnown = holder !== undefined && this.holders.includes(holder);
    if (isPast) {
      // It decides whose event this is, or belongs to the same; it is attached to nobody.
      if (isFirst && holder) this.#accept(candidate, this.#tally.withValues(holder.keys));
      else if (isKnown) this.#accept(candidate, this.#tally);
      else this.#refuse(candidate, 'freed', 'the value was freed after the event happened');
      return;
    }
    if (isShared && !isFirst && !isKnown) {
      this.#refuse(candidate, 'shared', `several persons use this ${key.config.name}`);
      return;
    }
    const apart = isKnown ? undefined : this.holders.find((other) => holder && areApart(holder, other));
    if (apart) {
      this.#refuse(candidate, 'apart', `profiles ${holder!.id} and ${apart.id} were parted by hand`);
      return;
    }
    const link = isKnown ? undefined : this.#brokenLink(candidate);
    if (link !== undefined && !isFirst) {
      this.#refuse(candidate, 'link_limit', link);
      return;
    }
    const grown = this.#grownBy(candidate);
    const opposed = holder && this.#opposed.get(holder);
    const broken = opposed ?? grown.broken(this.#config, this.#atMs, this.#tally);
    // The strongest key is where the event belongs, whatever its profile looks like (limits may have been lowered).
    if (!broken || isFirst || isKnown) this.#accept(candidate, grown);
    else this.#giveWay(candidate, broken);
  }

  /** A key does not fit: by its owner rule or the segment's it is left out, moves, or takes the place of another. */
  #giveWay(candidate: C, broken: BrokenLimit): void {
    const { owner, name } = candidate.key.config;
    const { onLimit, onMaxKeys } = this.#config.stitching;
    if (candidate.holder && broken.reason === 'limit') this.#opposed.set(candidate.holder, broken);
    if (broken.reason === 'max_keys') {
      const fits = onMaxKeys === 'evict_oldest' && this.#makeRoom(this.#grownBy(candidate), candidate);
      if (!fits) this.#refuse(candidate, 'max_keys', broken.detail);
      else if (candidate.holder) this.holders.push(candidate.holder);
      return;
    }
    if (candidate.holder && owner === 'none_when_shared') {
      this.freed.push(candidate);
      this.#refuse(candidate, 'shared', `${name} was seen with several persons: ${broken.detail}`);
      return;
    }
    const mayMove =
      owner === null
        ? onLimit === 'replace_oldest'
        : owner === 'last_authenticated' && this.accepted.some(({ key }) => key.config.kind === 'person');
    const alone = this.#tally.withValue(name, candidate.key.value, this.#atMs);
    if (mayMove && this.#makeRoom(alone, candidate)) {
      if (candidate.holder) this.moved.push(candidate);
      return;
    }
    this.#refuse(candidate, owner === null ? 'limit' : 'owner', broken.detail);
  }

  /** Takes the candidate in with what goes for it; false when nothing that may go makes it fit. */
  #makeRoom(wanted: KeyTally, candidate: C): boolean {
    const onEvent = new Set(
      [...this.accepted, candidate].map(({ key }) => `${key.config.name}\n${key.value}`),
    );
    const isKept = ({ name, value }: HeldValue) => onEvent.has(`${name}\n${value}`);
    const gone: (HeldValue & { reason: 'replaced' | 'max_keys' })[] = [];
    let tally = wanted;
    for (;;) {
      const broken = tally.broken(this.#config, this.#atMs, this.#tally);
      if (!broken) break;
      const isLimit = broken.name !== undefined;
      if (!isLimit && this.#config.stitching.onMaxKeys === 'refuse') return false;
      const oldest = isLimit ? tally.oldestOf(broken.name, isKept) : tally.weakest(this.#config, isKept);
      if (!oldest) return false;
      gone.push({ ...oldest, reason: isLimit ? 'replaced' : 'max_keys' });
      tally = tally.without([oldest]);
    }
    this.evicted.push(...gone);
    this.accepted.push(candidate);
    this.#tally = tally;
    return true;
  }

  #accept(candidate: C, grown: KeyTally): void {
    const { holder } = candidate;
    this.accepted.push(candidate);
    this.#tally = grown;
    if (holder && !this.holders.includes(holder)) this.holders.push(holder);
  }

  #refuse(candidate: C, reason: RefuseReason, detail: string): void {
    this.refused.push({ candidate, reason, detail });
  }

  #grownBy({ key, holder }: C): KeyTally {
    const grown =
      holder && !this.holders.includes(holder) ? this.#tally.withValues(holder.keys) : this.#tally;
    return grown.withValue(key.config.name, key.value, this.#atMs);
  }

  /** The directional limit between two keys that the candidate would break with one that is accepted, in words. */
  #brokenLink(candidate: C): string | undefined {
    for (const other of this.accepted) {
      const words = tooManyTouched(candidate, other) ?? tooManyTouched(other, candidate);
      if (words !== undefined) return words;
    }
    return undefined;
  }
}

/** Whether seeing `one` together with `other` is more than the links of `one` allow. */
function tooManyTouched(one: Candidate<Holder>, other: Candidate<Holder>): string | undefined {
  const { name } = other.key.config;
  const max = one.key.config.links[name];
  if (max === undefined) return undefined;
  const touched = new Set([...(one.touches[name] ?? []), other.key.value]);
  return touched.size > max ? `one ${one.key.config.name} is seen with at most ${max} ${name}` : undefined;
}

/** Whether the two were parted by hand, before or after other profiles became part of them. */
export function areApart(a: Holder, b: Holder): boolean {
  const names = ({ apart = [] }: Holder, { id, mergedFrom }: Holder) =>
    apart.some(({ profileId }) => profileId === id || mergedFrom.includes(profileId));
  return names(a, b) || names(b, a);
}

/**
 * The profile that stays when several become one: the one that holds the strongest key if only one does, else the
 * oldest (by creation, then by id).
 */
export function survivorOf<H extends Holder>(holders: readonly H[], config: SegmentConfig): H {
  for (const { name } of config.stitching.keys) {
    const having = holders.filter((holder) => (holder.keys[name]?.length ?? 0) > 0);
    if (having.length === 1) return having[0]!;
    if (having.length > 1) break;
  }
  return [...holders].sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1))[0]!;
}
