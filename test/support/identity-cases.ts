// The identity cases as data (test/identity-cases): their form, and what is compared, whoever runs them.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { AuditFact } from '../../shared/contract/outbox.ts';

/** Reasons by key name, or by `name:value`. */
type Reasons = Readonly<Record<string, string>>;

/** A key as `name:value`. */
type KeyText = string;

export interface ByHand {
  /** Keys leave the profile of `of` for one of their own. */
  readonly split?: { readonly of: KeyText; readonly keys: readonly KeyText[] };
  /** The profile of `from` becomes part of that of `into`. */
  readonly merge?: { readonly from: KeyText; readonly into: KeyText; readonly force?: boolean };
  /** What became part of the profile of `of` by the last merge by hand lives again. */
  readonly undo?: { readonly of: KeyText };
  /** Why it is not done: a reason code, or `unknown` when a profile is not there. */
  readonly not?: string;
}

export interface CaseEvent {
  /** Message id; the same one twice is a repeat. */
  readonly id?: string;
  readonly name?: string;
  readonly keys: Readonly<Record<string, string>>;
  /** When it happened, in days or minutes after the start; else a minute after the event before, at which it comes. */
  readonly day?: number;
  readonly minute?: number;
  /** Whose it is: events with one letter are one profile's, with two letters two profiles'; `nobody`: of none. */
  readonly is?: string;
  readonly merges?: number;
  readonly refused?: Reasons;
  readonly rejected?: Reasons;
  readonly evicted?: Reasons;
  readonly flagged?: readonly string[];
  /** It tells nothing at all. */
  readonly silent?: boolean;
  readonly properties?: Readonly<Record<string, unknown>>;
  /** Kinds of everything that it tells, each once, by name. */
  readonly kinds?: readonly string[];
  /** By hand, in place of an event. */
  readonly by_hand?: ByHand;
}

export interface IdentityCase {
  readonly id: string;
  /** Why this outcome is ours. */
  readonly why: string;
  readonly config: string;
  readonly events: readonly CaseEvent[];
  /** `name:value` of the live profiles' keys. */
  readonly profiles: readonly (readonly string[])[];
  /** Events counted on the profile that a key leads to. */
  readonly views?: Readonly<Record<string, number>>;
  /** Attributes of the profile that a key leads to; null: it has none of that name. */
  readonly attributes?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** What it takes and the engine may not do yet. */
  readonly needs?: readonly string[];
  /** The outcome depends on minutes of log time between events, which a real log does not jump over. */
  readonly paced?: boolean;
  /** What is tried are values as they stand: nothing may be put in front of them to tell cases apart. */
  readonly as_is?: boolean;
}

/** What the engine does of what cases need: a case that needs more is skipped, and counted. */
export const FEATURES: readonly string[] = [];

const FOLDER = join(import.meta.dirname, '../identity-cases');
export const MINUTE_MS = 60_000;
const DAY_MS = 1440 * MINUTE_MS;

/** One attribute of each rule; an event that has no such property leaves it as it is. */
export const ATTRIBUTES = `events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: told, when: 'event.name == "Told"' }
attributes:
  - { name: views, type: counter, total: true, on: viewed }
  - { name: spent, type: counter, total: true, on: told, by: event.properties.spent }
  - { name: best, type: counter, total: true, on: told, by: event.properties.best, merge: max }
  - { name: own, type: counter, total: true, on: told, by: event.properties.own, merge: survivor }
  - { name: plan, type: single, on: told, value: event.properties.plan }
  - { name: source, type: single, on: told, value: event.properties.source, merge: oldest }
  - { name: group, type: single, on: told, value: event.properties.group, merge: survivor }
  - { name: lowest, type: single, on: told, value: event.properties.lowest, merge: min }
  - { name: highest, type: single, on: told, value: event.properties.highest, merge: max }
  - { name: consent, type: single, on: told, value: event.properties.consent, merge: restrictive }
`;

/** Stitching by the name of the config. */
export function caseConfigs(): Readonly<Record<string, object>> {
  return parse(readFileSync(join(FOLDER, 'configs.yaml'), 'utf8')) as Record<string, object>;
}

export function identityCases(): readonly (IdentityCase & { readonly theme: string })[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.yaml') && file !== 'configs.yaml');
  return files.sort().flatMap((file) => {
    const cases = parse(readFileSync(join(FOLDER, file), 'utf8')) as IdentityCase[];
    return cases.map((one) => {
      const events = one.events.map((event) => (event.by_hand ? { ...event, keys: {} } : event));
      return { ...one, events, theme: file.replace('.yaml', '') };
    });
  });
}

/** `name:value` in two. */
export function keyOf(text: string): { readonly name: string; readonly value: string } {
  const at = text.indexOf(':');
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}

/** Keys as `name:value` by name. */
export function keyListsOf(texts: readonly string[]): Readonly<Record<string, readonly string[]>> {
  const lists: Record<string, readonly string[]> = {};
  for (const { name, value } of texts.map(keyOf)) lists[name] = [...(lists[name] ?? []), value];
  return lists;
}

/** When an event happens, and when it comes, in ms after the start. */
export function timesOf(
  { day, minute }: CaseEvent,
  index: number,
): { readonly atMs: number; readonly comesMs: number } {
  const order = index * MINUTE_MS;
  if (day !== undefined) return { atMs: day * DAY_MS + order, comesMs: day * DAY_MS + order };
  return { atMs: minute === undefined ? order : minute * MINUTE_MS, comesMs: order };
}

/** What an event is expected to tell, in the form of `toldOf`. */
export function expectedOf(event: CaseEvent): object {
  const { merges = 0, refused = {}, rejected = {}, evicted = {}, flagged = [] } = event;
  const kinds = event.kinds && { kinds: [...event.kinds].sort() };
  return { merges, refused, rejected, evicted, flagged, ...kinds };
}

/** The facts of one event, as cases speak of them. */
export function toldOf(facts: readonly AuditFact[], event: CaseEvent): object {
  const reasons = (kinds: readonly string[], isFull = false) =>
    Object.fromEntries(
      facts
        .filter(({ kind }) => kinds.includes(kind))
        .map(({ key, reason }) => [isFull ? `${key!.name}:${key!.value}` : key!.name, reason ?? '']),
    );
  const isFull = Object.keys(event.evicted ?? {}).every((name) => name.includes(':'));
  return {
    merges: facts.filter(({ kind }) => kind === 'profiles_merged').length,
    refused: reasons(['link_refused', 'key_demoted']),
    rejected: reasons(['key_rejected']),
    evicted: reasons(['key_evicted'], isFull),
    flagged: facts.filter(({ kind }) => kind === 'key_flagged').map(({ key }) => key!.name),
    ...(event.kinds && { kinds: [...new Set(facts.map(({ kind }) => kind))].sort() }),
  };
}
