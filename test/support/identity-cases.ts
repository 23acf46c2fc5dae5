// The identity cases as data (test/identity-cases): their form, and what is compared, whoever runs them.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { AuditFact } from '../../shared/contract/outbox.ts';

/** Reasons by key name, or by `name:value`. */
type Reasons = Readonly<Record<string, string>>;

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
}

const FOLDER = join(import.meta.dirname, '../identity-cases');
export const MINUTE_MS = 60_000;
const DAY_MS = 1440 * MINUTE_MS;

export const ATTRIBUTES = `events: [{ name: viewed, when: 'event.name == "Viewed"' }]
attributes: [{ name: views, type: counter, total: true, on: viewed }]
`;

/** Stitching by the name of the config. */
export function caseConfigs(): Readonly<Record<string, object>> {
  return parse(readFileSync(join(FOLDER, 'configs.yaml'), 'utf8')) as Record<string, object>;
}

export function identityCases(): readonly (IdentityCase & { readonly theme: string })[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.yaml') && file !== 'configs.yaml');
  return files.sort().flatMap((file) => {
    const cases = parse(readFileSync(join(FOLDER, file), 'utf8')) as IdentityCase[];
    return cases.map((one) => ({ ...one, theme: file.replace('.yaml', '') }));
  });
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
  return { merges, refused, rejected, evicted, flagged };
}

/** The facts of one event, as cases speak of them. */
export function toldOf(facts: readonly AuditFact[], evictedNames: Reasons | undefined): object {
  const reasons = (kinds: readonly string[], isFull = false) =>
    Object.fromEntries(
      facts
        .filter(({ kind }) => kinds.includes(kind))
        .map(({ key, reason }) => [isFull ? `${key!.name}:${key!.value}` : key!.name, reason ?? '']),
    );
  const isFull = Object.keys(evictedNames ?? {}).every((name) => name.includes(':'));
  return {
    merges: facts.filter(({ kind }) => kind === 'profiles_merged').length,
    refused: reasons(['link_refused', 'key_demoted']),
    rejected: reasons(['key_rejected']),
    evicted: reasons(['key_evicted'], isFull),
    flagged: facts.filter(({ kind }) => kind === 'key_flagged').map(({ key }) => key!.name),
  };
}
