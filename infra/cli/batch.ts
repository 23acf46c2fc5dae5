// `stitchwork batch`: one batch process; below it, commands about what batch processes keep.
import type { Command } from 'commander';
import { parseRoleSettings, type RoleFlags } from '../../shared/settings.ts';
import { addBatchArchive } from './batch-archive.ts';
import { addBatchExport } from './batch-export.ts';
import { addBatchJobs } from './batch-jobs.ts';
import { addBatchLinks } from './batch-links.ts';
import { addBatchQuery } from './batch-query.ts';
import {
  withArchiveFlags,
  withExample,
  withJson,
  withNatsFlags,
  withRoleFlags,
  withSegmentFlags,
} from './flags.ts';
import type { Io } from './io.ts';
import type { LoadFlags } from './load-snapshot.ts';

export function addBatch(program: Command, io: Io): void {
  const command = program
    .command('batch')
    .description('run a batch process: keeps the archive of the event log as Parquet, and runs jobs');
  command.enablePositionalOptions();
  withJson(withSegmentFlags(withArchiveFlags(withRoleFlags(command))));
  withExample(
    command,
    'stitchwork batch --config shop.yaml --nats-url nats://10.0.0.5:4222 --data-dir /data --port 9091',
    'stitchwork batch archive status',
  );
  command.action(async (flags: RoleFlags & { json?: boolean }) => {
    const settings = parseRoleSettings(flags, io.env);
    const [{ runRoleCommand }, { runBatch }] = await Promise.all([
      import('./run-role.ts'),
      import('../batch-role.ts'),
    ]);
    await runRoleCommand(
      'batch',
      settings,
      (deps) => runBatch(settings, deps),
      (role) => {
        const { id, url, segments } = role;
        if (flags.json) io.out(JSON.stringify({ id, url, segments, pid: process.pid }));
        else io.out(`batch ${id} of ${segments.join(', ')}${url ? `, metrics at ${url}/metrics` : ''}`);
      },
    );
  });
  addBatchArchive(command, io);
  addLoad(command, io);
  addRollback(command, io);
  addList(command, io);
  addBatchJobs(command, io);
  addBatchQuery(command, io);
  addBatchExport(command, io);
  addBatchLinks(command, io);
}

function addLoad(batch: Command, io: Io): void {
  const load = batch
    .command('load')
    .description(
      'make the rows of a file (Parquet, or NDJSON or CSV, also .gz) the table, whole; only changed rows are written',
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
}

function addRollback(batch: Command, io: Io): void {
  const rollback = batch
    .command('rollback')
    .description('bring the rows of the run before into force again')
    .argument('<table>', 'name of the table or catalog in the config')
    .option('--by <name>', 'who does it');
  withExample(withNatsFlags(rollback), 'stitchwork batch rollback crm --segment shop');
  rollback.action(async (table: string, flags: LoadFlags) => {
    const { rollBackSnapshot } = await import('./load-snapshot.ts');
    await rollBackSnapshot(table, flags, io);
  });
}

function addList(batch: Command, io: Io): void {
  const list = batch
    .command('list')
    .description('list tables with their runs in force, and jobs with their last runs');
  withExample(withNatsFlags(list), 'stitchwork batch list --segment shop');
  list.action(async (flags: LoadFlags) => {
    const { listSnapshots } = await import('./load-snapshot.ts');
    await listSnapshots(flags, io);
  });
}
