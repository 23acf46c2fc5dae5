// What tells profiles of changed rows, over NATS, with its metrics and log lines.
import { Counter, type Registry } from 'prom-client';
import { RowTeller } from '../batch/rows/row-teller.ts';
import { systemClock } from '../shared/kernel/clock.ts';
import { errorText } from '../shared/kernel/errors.ts';
import { systemRandom } from '../shared/kernel/random.ts';
import { createChangedRows } from '../shared/nats/changed-rows.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { createEventLogAppender } from '../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../shared/nats/event-log-reader.ts';
import { createPresence } from '../shared/nats/presence.ts';
import { createRecordStore } from '../shared/nats/record-store.ts';
import { createSnapshotRuns } from '../shared/nats/snapshots.ts';
import type { Belongings } from './belongings.ts';
import type { DeployedSegment } from './deploy.ts';
import type { RoleDeps } from './open-segments.ts';

/** Of all segments of a process, one registry: call once. */
export function createRowMetrics(registry: Registry) {
  const registers = [registry];
  const labelNames = ['segment', 'table'] as const;
  return {
    told: new Counter({
      name: 'stitchwork_batch_rows_told_total',
      help: 'Changed rows of snapshot tables that were told to their profiles.',
      labelNames,
      registers,
    }),
  };
}

export interface RowTellerParts {
  readonly deps: RoleDeps;
  readonly door: NatsDoor;
  readonly id: string;
  readonly metrics: ReturnType<typeof createRowMetrics>;
}

export async function startRowTeller(
  { deps, door, id, metrics }: RowTellerParts,
  { names, shards, config }: DeployedSegment,
  belongings: Belongings,
): Promise<void> {
  const { segment } = names;
  const log = deps.log.child({ segment });
  const snapshots = createSnapshotRuns(door, names);
  const appender = createEventLogAppender(door, names, { clock: systemClock, random: systemRandom });
  const teller = new RowTeller({
    store: createRecordStore(door, names),
    presence: createPresence(door, names),
    log: createEventLogReader(door, names, shards),
    clock: systemClock,
    random: systemRandom,
    owner: `${id}-rows`,
    tables: () => config().batchTables.filter(({ atOnce }) => atOnce),
    current: () => snapshots.current(),
    rows: createChangedRows(door, names),
    appender,
    shards,
    telemetry: {
      told: (table, rows) => metrics.told.inc({ segment, table }, rows),
      finished: (table, run) => log.info({ table, run }, 'changed rows told'),
      failed: (error) => log.warn({ reason: errorText(error) }, 'changed rows are told later'),
    },
  });
  teller.start();
  belongings.own(() => appender.close());
  belongings.own(() => teller.stop());
}
