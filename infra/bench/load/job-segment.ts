// A job's own connection to a segment: its names, its config, and events as the gateway would append them.
import { prepareEvents } from '../../../gateway/events/prepare.ts';
import type { SegmentConfig } from '../../../shared/contract/config/segment-config.ts';
import { type SegmentNames, segmentNames } from '../../../shared/contract/names.ts';
import { connectNats, type NatsDoor } from '../../../shared/nats/connect.ts';
import type { LogAppend } from '../../../shared/ports/event-log.ts';
import { loadSegmentFiles } from '../../segment-files.ts';
import type { BenchEvent } from '../workload.ts';
import type { JobSegment } from './jobs.ts';

export interface OpenSegment {
  readonly door: NatsDoor;
  readonly names: SegmentNames;
  readonly config: SegmentConfig;
  /** Log messages of events. Throws when the gateway would reject one. */
  prepare(events: readonly BenchEvent[]): readonly LogAppend[];
}

/** Connects, runs `use`, closes. */
export async function withSegment<T>(job: JobSegment, use: (segment: OpenSegment) => Promise<T>): Promise<T> {
  const [source] = await loadSegmentFiles([job.configFile]);
  const { config } = source!;
  const names = segmentNames(config.segment);
  const door = await connectNats({ url: job.natsUrl, name: 'stitchwork bench' });
  const prepare = (events: readonly BenchEvent[]) => {
    const items = events.map((value) => ({ kind: 'value', value }) as const);
    const noId = () => '';
    const segment = { config: () => config, configVersion: () => 0, names, shards: job.shards };
    const { appends, rejected } = prepareEvents(items, segment, noId);
    const [first] = rejected;
    if (first) throw new Error(`an event of the bench is not accepted: ${first.code} ${first.message}`);
    return appends;
  };
  try {
    return await use({ door, names, config, prepare });
  } finally {
    await door.close();
  }
}
