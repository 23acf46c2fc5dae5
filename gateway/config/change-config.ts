// Changes of a segment's config: a new text, or the text of an earlier version again. Either is a new version, put in force
// only over the version that it was judged against.
import { type ConfigDiff, diffConfigs } from '../../shared/contract/config/diff.ts';
import type { ConfigProblem } from '../../shared/contract/config/problem.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { ConfigEntry, StoredConfig } from '../../shared/ports/config-store.ts';
import type { GatewaySegment } from '../deps.ts';
import { readConfig, soundConfig } from './read-config.ts';

export interface ChangeRequest {
  readonly yaml: string;
  readonly by: string;
  readonly note: string | null;
  /** The version that must be in force; undefined: whichever is. */
  readonly ifVersion: number | undefined;
  readonly rollbackOf: number | null;
  /** Only tells what would happen. */
  readonly dryRun: boolean;
}

export interface ChangeAnswer extends Omit<ConfigEntry, 'digest' | 'textDigest'> {
  readonly segment: string;
  /** False: this very text is in force already, or it was a dry run. */
  readonly changed: boolean;
  readonly dryRun: boolean;
  /** What is in the way; empty unless it was a dry run. */
  readonly problems: readonly ConfigProblem[];
  /** From the version that was in force; null when there are problems. */
  readonly diff: ConfigDiff | null;
}

/** Throws CONFLICT, INVALID_CONFIG (unless it is a dry run), UNKNOWN_SEGMENT or STORE_UNAVAILABLE. */
export async function changeConfig(
  segment: GatewaySegment,
  change: ChangeRequest,
  clock: Clock,
): Promise<ChangeAnswer> {
  const name = segment.names.segment;
  const current = await currentOf(segment);
  if (change.ifVersion !== undefined && change.ifVersion !== current.version)
    throw conflict(name, change.ifVersion, current.version);
  const read = readConfig(change.yaml, name);
  if (change.dryRun && read.kind === 'invalid')
    return { ...answerOf(name, current, change), problems: read.problems, diff: null };
  const { digest, ...source } = soundConfig(change.yaml, name, 'the config is refused');
  const diff = diffConfigs(
    soundConfig(current.yaml, name, `version ${current.version} cannot be read here`),
    source,
  );
  if (change.dryRun || change.yaml === current.yaml) return { ...answerOf(name, current, change), diff };
  const { yaml, by, note, rollbackOf } = change;
  const at = new Date(clock.nowMs()).toISOString();
  const outcome = await segment.configs.add({ yaml, digest, by, note, rollbackOf, at }, current.version);
  if (outcome.kind === 'conflict') throw conflict(name, current.version, outcome.version);
  return { ...answerOf(name, outcome.config, change), changed: true, diff };
}

function answerOf(segment: string, stored: StoredConfig, { dryRun }: ChangeRequest): ChangeAnswer {
  const { version, at, by, note, rollbackOf } = stored;
  return { segment, version, changed: false, dryRun, at, by, note, rollbackOf, problems: [], diff: null };
}

function conflict(segment: string, expected: number, found: number): StitchworkError {
  return new StitchworkError(
    'CONFLICT',
    `Version ${found} of ${segment} is in force, not ${expected}: somebody else has applied a config. Look at its diff, then apply again.`,
    { details: [{ expected, version: found }] },
  );
}

/** The version in force. Throws UNKNOWN_SEGMENT: whoever runs the segment has put one there, unless the store was emptied. */
export async function currentOf(segment: GatewaySegment): Promise<StoredConfig> {
  const stored = await segment.configs.current();
  if (stored) return stored;
  throw new StitchworkError(
    'UNKNOWN_SEGMENT',
    `Segment ${segment.names.segment} has no config in the store.`,
  );
}

/** Throws NOT_FOUND. */
export async function versionOf(segment: GatewaySegment, version: number): Promise<StoredConfig> {
  const stored = await segment.configs.version(version);
  if (stored) return stored;
  const { segment: name } = segment.names;
  throw new StitchworkError(
    'NOT_FOUND',
    `Version ${version} of ${name} is not kept; GET /v1/config/${name}/versions lists those that are.`,
  );
}

const TAKE_OVER_STEP_MS = 10;

/** Waits a moment until this gateway takes events by the version as well; the others do so at the same time. */
export async function untilTakenOver(
  segment: GatewaySegment,
  version: number,
  clock: Clock,
  deadlineMs: number,
): Promise<void> {
  const end = clock.elapsedMs() + deadlineMs;
  while (segment.configVersion() < version && clock.elapsedMs() < end) await clock.sleep(TAKE_OVER_STEP_MS);
}
