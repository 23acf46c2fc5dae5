// The config that a role starts with: the one in force in the store. A file given at the start becomes a version only when
// its config is new: an old file that still lies about must never undo what was applied since.
import { hostname } from 'node:os';
import type { SegmentNames } from '../shared/contract/names.ts';
import type { Clock } from '../shared/kernel/clock.ts';
import { StitchworkError } from '../shared/kernel/errors.ts';
import { sha256Hex } from '../shared/kernel/hash.ts';
import type { ConfigEntry, ConfigStore, StoredConfig } from '../shared/ports/config-store.ts';
import type { SegmentRequest } from './deploy.ts';
import type { Log } from './log.ts';
import { describeProblem, readSegmentText, type SegmentSource } from './segment-files.ts';

/** A version that can run here. */
export interface LiveConfig {
  readonly version: number;
  readonly source: SegmentSource;
}

interface Deps {
  readonly names: SegmentNames;
  readonly log: Log;
  readonly clock: Clock;
}

/** Throws UNKNOWN_SEGMENT, INVALID_CONFIG (what is in force cannot run here) or STORE_UNAVAILABLE. */
export async function configInForce(
  store: ConfigStore,
  request: SegmentRequest,
  deps: Deps,
): Promise<LiveConfig> {
  const stored =
    request.kind === 'file' ? await applyFile(store, request.source, deps) : await store.current();
  if (stored) return asLive(stored, deps.names.segment);
  throw new StitchworkError(
    'UNKNOWN_SEGMENT',
    `segment ${deps.names.segment} has no config yet: start once with --config FILE`,
  );
}

/** What is in force after the file was given at a start: it, when it is new, else what was. */
async function applyFile(store: ConfigStore, source: SegmentSource, deps: Deps): Promise<StoredConfig> {
  const { names, log, clock } = deps;
  const textDigest = sha256Hex(source.yaml);
  const isFile = (entry: ConfigEntry) => entry.textDigest === textDigest || entry.digest === source.digest;
  for (;;) {
    const current = await store.current();
    if (current && isFile(current)) return current;
    const known = current && (await store.entries()).find(isFile);
    if (current && known) {
      log.warn(
        { segment: names.segment, running: current.version, file: known.version },
        `the file is config version ${known.version}, and version ${current.version} is in force: it stays. To change it, use stitchwork apply or rollback`,
      );
      return current;
    }
    const at = new Date(clock.nowMs()).toISOString();
    const by = `--config at a start on ${hostname()}`;
    const { yaml, digest } = source;
    const candidate = { yaml, digest, at, by, note: null, rollbackOf: null };
    const outcome = await store.add(candidate, current?.version ?? 0);
    // Somebody else applied one at the same time: look again.
    if (outcome.kind === 'conflict') continue;
    log.info({ segment: names.segment, version: outcome.config.version }, 'config applied');
    return outcome.config;
  }
}

function asLive(stored: StoredConfig, segment: string): LiveConfig {
  const { source, problems } = readSegmentText(stored.yaml);
  if (source) return { version: stored.version, source };
  throw new StitchworkError(
    'INVALID_CONFIG',
    `the deployed config ${stored.version} of ${segment} cannot run here:\n${problems.map(describeProblem).join('\n')}`,
    { details: problems },
  );
}
