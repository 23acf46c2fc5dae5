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
    .argument('<file>', 'segment config file (YAML)')
    .option('--rebuild', 'then count new and changed attributes from the event log, for all profiles')
    .option('--nats-url <url>', 'NATS server, for --rebuild (env NATS_URL)');
  withExample(
    withApiFlags(withChangeFlags(command)),
    'stitchwork apply shop.yaml --note "longer windows"',
    'stitchwork apply shop.yaml --dry-run',
    'stitchwork apply shop.yaml --yes --if-version 3 --json',
  );
  command.action(async (file: string, flags: ClientFlags & ChangeFlags & { readonly rebuild?: boolean }) => {
    const { loadSegmentFiles } = await import('../segment-files.ts');
    const [source] = await loadSegmentFiles([file]);
    const api = await configApi({ ...flags, segment: source!.config.segment }, io);
    const yaml = await readFile(file, 'utf8');
    const done = await changeConfig(flags, io, (options) =>
      api.apply(yaml, { note: flags.note, ...options }),
    );
    if (!flags.rebuild || !done?.changed) return;
    const changed = (done.diff?.changes ?? []).filter(
      ({ section, kind }) => section === 'attributes' && kind !== 'removed',
    );
    const kept = source!.config.attributes.filter(({ type }) => type !== 'computed').map(({ name }) => name);
    const attributes = changed.map(({ name }) => name).filter((name) => kept.includes(name));
    if (attributes.length === 0) return;
    const { rebuildAll } = await import('./rebuild-all.ts');
    const segment = source!.config.segment;
    const rebuilt = await rebuildAll({ ...flags, segment }, attributes, undefined, io);
    io.talk(`${attributes.join(', ')}: counted from the event log for ${rebuilt} profiles`);
  });
}
