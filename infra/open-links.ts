// Links from batch over the real log and store of a segment.
import { type Compared, type ComparingDeps, compareSets } from '../batch/links/differences.ts';
import type { LinkReport } from '../batch/links/link-report.ts';
import type { FoundRow } from '../batch/links/link-source.ts';
import { type LinkRun, type SendDeps, sendLinks, tryLinks, untilApplied } from '../batch/links/send-links.ts';
import type { SegmentConfig } from '../shared/contract/config/segment-config.ts';
import type { SegmentNames } from '../shared/contract/names.ts';
import { systemClock } from '../shared/kernel/clock.ts';
import { StitchworkError } from '../shared/kernel/errors.ts';
import { systemRandom } from '../shared/kernel/random.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { createEventLogAppender } from '../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../shared/nats/event-log-reader.ts';
import { createRecordStore } from '../shared/nats/record-store.ts';
import { readShards } from '../shared/nats/topology.ts';

export interface OpenLinks {
  /** Everything that is in the log is applied. */
  settled(signal: AbortSignal): Promise<void>;
  compare(deps: Omit<ComparingDeps, 'config'>, source: AsyncIterable<FoundRow>): Promise<Compared>;
  dryRun(run: LinkRun): Promise<LinkReport>;
  send(run: LinkRun, options: Pick<SendDeps, 'ratePerSecond' | 'alsoRefused'>): Promise<LinkReport>;
  close(): Promise<void>;
}

/** Throws NOT_FOUND when the segment has no streams. */
export async function openLinks(
  door: NatsDoor,
  names: SegmentNames,
  { config, version, by }: { readonly config: SegmentConfig; readonly version: number; readonly by: string },
): Promise<OpenLinks> {
  const shards = await readShards(door, names);
  if (shards === undefined) throw new StitchworkError('NOT_FOUND', `there is no segment ${names.segment}`);
  const clock = systemClock;
  const appender = createEventLogAppender(door, names, { clock, random: systemRandom });
  const applying = {
    store: createRecordStore(door, names),
    log: createEventLogReader(door, names, shards),
    shards,
    clock,
  };
  const deps = { ...applying, config, stamp: `${names.segment}@${version}`, by, appender };
  return {
    settled: (signal) => untilApplied(applying, signal),
    compare: (comparing, source) => compareSets({ ...comparing, config }, source),
    dryRun: (run) => tryLinks(deps, run),
    send: (run, options) => sendLinks({ ...deps, ...options }, run),
    close: () => appender.close(),
  };
}
