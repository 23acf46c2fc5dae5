// The history of a segment that has no archive.
import { createEventHistory } from '../../batch/archive/history.ts';
import { createMemoryStorage } from '../../batch/archive/memory-storage.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { createLogScan } from '../../shared/nats/log-scan.ts';
import type { EventHistory } from '../../shared/ports/event-history.ts';

export function logOnlyHistory(door: NatsDoor, names: SegmentNames): EventHistory {
  return createEventHistory({
    storage: createMemoryStorage(),
    log: createEventLogReader(door, names),
    scan: createLogScan(door, names),
    duck: () => Promise.reject(new Error('there is no archive to be read')),
    scratch: '',
  });
}
