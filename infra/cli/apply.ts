// `stitchwork apply`: puts a config file in force, while everything runs.
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { ClientFlags } from '../../shared/settings.ts';
import { type ChangeFlags, changeConfig } from './change-config.ts';
import { configApi } from './config-api.ts';
import { withApiFlags, withChangeFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';

export function addApply(program: Command, io: Io): void {
  const command = program
    .command('apply')
    .description('put a segment config in force; workers and gateways take it over within a second')
    .argument('<file>', 'segment config file (YAML)');
  withExample(
    withApiFlags(withChangeFlags(command)),
    'stitchwork apply shop.yaml --note "longer windows"',
    'stitchwork apply shop.yaml --dry-run',
    'stitchwork apply shop.yaml --yes --if-version 3 --json',
  );
  command.action(async (file: string, flags: ClientFlags & ChangeFlags) => {
    const { loadSegmentFiles } = await import('../segment-files.ts');
    const [source] = await loadSegmentFiles([file]);
    const api = await configApi({ ...flags, segment: source!.config.segment }, io);
    const yaml = await readFile(file, 'utf8');
    await changeConfig(flags, io, (options) => api.apply(yaml, { note: flags.note, ...options }));
  });
}
