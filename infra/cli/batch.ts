// `stitchwork batch load` and `batch list`: snapshot tables from a file, and which runs are in force.
import type { Command } from 'commander';
import { withExample, withNatsFlags } from './flags.ts';
import type { Io } from './io.ts';
import type { LoadFlags } from './load-snapshot.ts';

export function addBatch(program: Command, io: Io): void {
  const batch = program.command('batch').description('snapshot tables that profiles are joined with');
  const load = batch
    .command('load')
    .description(
      'make the rows of a file (NDJSON or CSV, also .gz) the table, whole; only changed rows are written',
    )
    .argument('<table>', 'name of the table in the config')
    .argument('<file>', 'file with one row a line')
    .option('--key-column <name>', 'column with the stitching key (default: the name of the key)')
    .option('--as-of <time>', 'when the snapshot was made, ISO 8601 (default: now)')
    .option('--by <name>', 'who loads it');
  withExample(withNatsFlags(load), 'stitchwork batch load crm crm.csv --segment shop --key-column customer');
  load.action(async (table: string, file: string, flags: LoadFlags) => {
    const { loadSnapshot } = await import('./load-snapshot.ts');
    await loadSnapshot(table, file, flags, io);
  });
  const list = batch.command('list').description('list tables with their runs in force');
  withExample(withNatsFlags(list), 'stitchwork batch list --segment shop');
  list.action(async (flags: LoadFlags) => {
    const { listSnapshots } = await import('./load-snapshot.ts');
    await listSnapshots(flags, io);
  });
}
