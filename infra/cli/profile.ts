// `stitchwork profile get`: the unified profile by a stitching key or by its id.
import type { Command } from 'commander';
import type { ClientFlags } from '../../shared/settings.ts';
import { apiGet } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { withApiFlags, withExample } from './flags.ts';
import { addRebuild, addSplit } from './identity-jobs.ts';
import type { Io } from './io.ts';

interface ProfileAnswer {
  readonly id: string;
  readonly keys: Readonly<Record<string, readonly string[]>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly audiences?: readonly string[];
  readonly createdAt?: string;
  readonly updatedAt?: string;
  readonly mergedFrom?: readonly string[];
}

export function addProfile(program: Command, io: Io): void {
  const profile = program.command('profile').description('look at profiles, and count them anew');
  const get = profile
    .command('get')
    .description('print the profile that a stitching key belongs to')
    .argument('<keyName>', 'name of the stitching key, or "id"')
    .argument('<value>', 'its value, or the profile id');
  withExample(
    withApiFlags(get),
    'stitchwork profile get customer_id 17850',
    'stitchwork profile get id 01935c2e-… --json',
  );
  get.action(async (keyName: string, value: string, flags: ClientFlags & { json?: boolean }) => {
    const target = adminTarget(clientSettings(flags, io));
    const path = `/v1/profiles/${encodeURIComponent(keyName)}/${encodeURIComponent(value)}`;
    const found = (await apiGet(target, path)) as ProfileAnswer;
    if (flags.json) io.out(JSON.stringify(found));
    else for (const line of describeProfile(found, io)) io.out(line);
  });
  addRebuild(profile, io);
  addSplit(profile, io);
}

function describeProfile(profile: ProfileAnswer, io: Io): readonly string[] {
  const lines = [io.style.bold(`profile ${profile.id}`)];
  if (profile.createdAt) lines.push(`created ${profile.createdAt}, updated ${profile.updatedAt ?? '-'}`);
  lines.push(io.style.bold('keys'));
  for (const [name, values] of Object.entries(profile.keys)) lines.push(`  ${name}: ${values.join(', ')}`);
  lines.push(io.style.bold('attributes'));
  for (const [name, value] of Object.entries(profile.attributes)) {
    lines.push(`  ${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  }
  if (profile.audiences?.length) lines.push(io.style.bold('audiences'), `  ${profile.audiences.join(', ')}`);
  if (profile.mergedFrom?.length)
    lines.push(io.style.dim(`profiles merged into it: ${profile.mergedFrom.length}`));
  return lines;
}
