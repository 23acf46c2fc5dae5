// Stitching keys of an event: normalized, checked, and ordered from strongest to weakest. The same code serves the way
// in, the look-up and the routing, so that one value is one key everywhere.
import type { KeyConfig, SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { CustomerEvent, LinkedKey } from '../../shared/contract/event.ts';
import type { RejectReason } from '../../shared/contract/outbox.ts';
import { routingKeyOf, routingKeyOfMessage } from '../../shared/contract/routing.ts';
import { checkValue, keyRulesOf } from './key-rules.ts';

export type NormalizedKey =
  | { readonly kind: 'ok'; readonly value: string }
  /** A value of a key that is only observed: it is stored, and finds nobody. */
  | { readonly kind: 'observed'; readonly value: string }
  | { readonly kind: 'rejected'; readonly reason: RejectReason; readonly detail: string }
  | { readonly kind: 'unknown_key' };

export interface EventKey {
  readonly config: KeyConfig;
  /** 0 is the strongest. */
  readonly rank: number;
  readonly value: string;
}

export interface RejectedKey {
  readonly name: string;
  readonly value: string;
  readonly reason: RejectReason;
  /** The reason in words. */
  readonly detail: string;
}

export interface EventKeys {
  /** Strongest first. */
  readonly usable: readonly EventKey[];
  /** Stored, and never joined by. */
  readonly observed: readonly EventKey[];
  readonly rejected: readonly RejectedKey[];
}

/** The one form of a key's value; a value that identifies nobody is rejected with the reason. */
export function normalizeKey(config: SegmentConfig, keyName: string, raw: string): NormalizedKey {
  const rule = keyRulesOf(config).get(keyName);
  if (!rule) return { kind: 'unknown_key' };
  const checked = checkValue(rule, raw);
  return checked.kind === 'ok' && rule.config.observeOnly
    ? { kind: 'observed', value: checked.value }
    : checked;
}

/** All keys of an event, checked. Names that the config does not know are rejected too: it may have changed since. */
export function keysOf(config: SegmentConfig, event: Pick<CustomerEvent, 'keys'>): EventKeys {
  const rules = keyRulesOf(config);
  const usable: EventKey[] = [];
  const observed: EventKey[] = [];
  const rejected: RejectedKey[] = [];
  for (const name of Object.keys(event.keys)) {
    const raw = event.keys[name]!;
    const rule = rules.get(name);
    if (!rule) {
      const detail = 'the config has no stitching key of this name';
      rejected.push({ name, value: raw, reason: 'unknown_key', detail });
      continue;
    }
    const checked = checkValue(rule, raw);
    if (checked.kind === 'ok') {
      const key = { config: rule.config, rank: rule.rank, value: checked.value };
      if (rule.config.observeOnly) observed.push(key);
      else usable.push(key);
    } else rejected.push({ name, value: raw, reason: checked.reason, detail: checked.detail });
  }
  usable.sort(strongestFirst);
  observed.sort(strongestFirst);
  return { usable, observed, rejected };
}

/** The keys of a link, as those of an event; a value that is named twice is one. */
export function linkedKeysOf(config: SegmentConfig, keys: readonly LinkedKey[]): EventKeys {
  const all = keys.map(({ name, value }) => keysOf(config, { keys: { [name]: value } }));
  return {
    usable: eachOnce(all.flatMap(({ usable }) => usable)),
    observed: eachOnce(all.flatMap(({ observed }) => observed)),
    rejected: all.flatMap(({ rejected }) => rejected),
  };
}

function eachOnce(keys: readonly EventKey[]): readonly EventKey[] {
  const isFirst = ({ config, value }: EventKey, index: number) =>
    keys.findIndex((other) => other.config === config && other.value === value) === index;
  return keys.filter(isFirst).sort(strongestFirst);
}

function strongestFirst(a: EventKey, b: EventKey): number {
  return a.rank - b.rank;
}

/** What an event is routed by: its weakest usable key (the device before the person), else its message id. */
export function routingKeyFor(config: SegmentConfig, event: CustomerEvent): string {
  const weakest = keysOf(config, event).usable.at(-1);
  return weakest ? routingKeyOf(weakest.config.name, weakest.value) : routingKeyOfMessage(event.messageId);
}
