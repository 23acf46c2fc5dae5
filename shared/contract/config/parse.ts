// Parses a segment config file: every problem in one answer, or the config with its defaults filled in.
import { parseDurationMs } from '../../kernel/duration.ts';
import { sha256Hex } from '../../kernel/hash.ts';
import { checkMeaning } from './check-meaning.ts';
import { checkShape } from './check-shape.ts';
import { kindOf, limitOf } from './key-limit.ts';
import type { ConfigProblem } from './problem.ts';
import { readAttribute } from './read-attribute.ts';
import { readDestination } from './read-destination.ts';
import { readJourney } from './read-journey.ts';
import { readService } from './read-personalization.ts';
import { readProtocols } from './read-protocols.ts';
import { readActivation, readChannel, readTrigger } from './read-sending.ts';
import { readCatalog, readTable } from './read-table.ts';
import type { RawKey, RawSegment } from './schema.ts';
import type { KeyConfig, SegmentConfig, StitchingConfig } from './segment-config.ts';
import { Sensitive } from './sensitive.ts';
import { soundParts } from './sound-parts.ts';
import { mapSource, type SourceMap } from './source-map.ts';

export type ParsedConfig =
  | {
      readonly kind: 'ok';
      readonly config: SegmentConfig;
      /** SHA-256 of the config with its defaults: comments, layout and defaults that are spelt out do not count. */
      readonly digest: string;
    }
  | { readonly kind: 'invalid'; readonly problems: readonly ConfigProblem[] };

const DEFAULT_MAX_KEYS = 200;
const DEFAULT_FLAG_AFTER = 10;
const DEFAULT_RETENTION = { anonymous: '90d', known: 'forever', redirects: '400d' } as const;

export function parseSegmentConfig(yaml: string): ParsedConfig {
  const source = mapSource(yaml);
  if (source.syntaxProblems.length > 0) return invalid(source.syntaxProblems);
  const misshapen = checkShape(source);
  if (misshapen.length > 0) return invalid([...misshapen, ...meaningOfTheRest(source, misshapen)]);
  const raw = source.value as RawSegment;
  const problems = checkMeaning(raw, source);
  if (problems.length > 0) return invalid(problems);
  const config: SegmentConfig = {
    segment: raw.segment,
    stitching: stitchingOf(raw),
    events: raw.events ?? [],
    attributes: (raw.attributes ?? []).map(readAttribute),
    batchTables: (raw.batch?.tables ?? []).map(readTable),
    catalogs: (raw.catalogs ?? []).map(readCatalog),
    audiences: raw.audiences ?? [],
    channels: (raw.channels ?? []).map(readChannel),
    activations: (raw.activations ?? []).map((activation) => readActivation(activation, raw)),
    triggers: (raw.triggers ?? []).map(readTrigger),
    journeys: (raw.journeys ?? []).map(readJourney),
    destinations: (raw.destinations ?? []).map(readDestination),
    personalization: (raw.personalization ?? []).map(readService),
    withheld: new Sensitive(raw).withheld,
    protocols: readProtocols(raw),
  };
  return { kind: 'ok', config, digest: sha256Hex(canonicalJson(config)) };
}

/** JSON with the fields of every object in order, so that equal values have equal text. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** What is wrong with the meaning of a file whose form is wrong; nothing when too little is left to tell. */
function meaningOfTheRest(source: SourceMap, misshapen: readonly ConfigProblem[]): readonly ConfigProblem[] {
  try {
    const rest = soundParts(
      source.value,
      misshapen.map(({ path }) => path),
    );
    return checkMeaning(rest, source, true);
  } catch {
    // The form is too far off: the problems of form are all that can be told.
    return [];
  }
}

function invalid(problems: readonly ConfigProblem[]): ParsedConfig {
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  return { kind: 'invalid', problems: sorted };
}

function stitchingOf({ stitching }: RawSegment): StitchingConfig {
  const retention = { ...DEFAULT_RETENTION, ...stitching.retention };
  return {
    keys: stitching.keys.map(keyOf),
    invalid: stitching.invalid ?? [],
    onLimit: stitching.on_limit ?? 'demote_incoming',
    maxKeysPerProfile: stitching.max_keys_per_profile ?? DEFAULT_MAX_KEYS,
    onMaxKeys: stitching.on_max_keys ?? 'refuse',
    logout: stitching.logout ?? [],
    flagAfterProfiles: stitching.flag_after_profiles ?? DEFAULT_FLAG_AFTER,
    retention: {
      anonymousMs: retentionMs(retention.anonymous),
      knownMs: retentionMs(retention.known),
      redirectsMs: retentionMs(retention.redirects),
    },
  };
}

function retentionMs(text: string): number | null {
  return text === 'forever' ? null : (parseDurationMs(text) ?? null);
}

function keyOf(raw: RawKey): KeyConfig {
  return {
    name: raw.name,
    kind: kindOf(raw),
    ...limitOf(raw),
    normalize: raw.normalize ?? [],
    region: raw.region ?? null,
    valid: raw.valid ?? null,
    minLength: raw.min_length ?? 1,
    minDistinctChars: raw.min_distinct_chars ?? 1,
    invalid: raw.invalid ?? [],
    allow: raw.allow ?? [],
    observeOnly: raw.observe_only ?? false,
    links: raw.links ?? {},
    owner: raw.owner ?? null,
  };
}
