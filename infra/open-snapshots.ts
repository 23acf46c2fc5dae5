// Snapshots of a segment, whole: what is in force, and loads of tables as this process.
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadTable } from '../batch/snapshots/load-table.ts';
import { rollBackTable } from '../batch/snapshots/roll-back.ts';
import type { TableDeps } from '../batch/snapshots/table-writer.ts';
import type { SegmentNames } from '../shared/contract/names.ts';
import { systemClock } from '../shared/kernel/clock.ts';
import { randomToken, systemRandom } from '../shared/kernel/random.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { createPresence } from '../shared/nats/presence.ts';
import { createSnapshotStore } from '../shared/nats/record-store.ts';
import { createSnapshotPages, createSnapshotRuns } from '../shared/nats/snapshots.ts';
import type { Snapshots } from '../shared/ports/snapshots.ts';
import { processId } from './open-segments.ts';

export function openSnapshots(door: NatsDoor, names: SegmentNames): Snapshots {
  let loads = 0;
  const deps = (by: string): TableDeps => {
    loads += 1;
    return {
      store: createSnapshotStore(door, names),
      pages: createSnapshotPages(door, names),
      presence: createPresence(door, names),
      clock: systemClock,
      random: systemRandom,
      owner: `${processId()}-load-${loads}`,
      by,
      spoolFile: () => join(tmpdir(), `stitchwork-rows-${randomToken(systemRandom)}`),
    };
  };
  return {
    ...createSnapshotRuns(door, names),
    load: (table, rows, options) => loadTable(deps(options.by), table, rows, options),
    rollBack: (table, by) => rollBackTable(deps(by), table),
  };
}
