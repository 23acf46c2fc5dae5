// `stitchwork status`: segments, shards, owners and lag as the gateway tells them.
import type { Command } from 'commander';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { type ApiTarget, apiGet } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withApiFlags, withExample } from './flags.ts';
import { type Io, table } from './io.ts';

export interface StatusAnswer {
  readonly segments: readonly {
    readonly name: string;
    readonly configVersion: number;
    readonly lag: number;
    readonly shards: readonly {
      readonly shard: number;
      readonly owner: string | null;
      readonly lag: number;
      readonly lastCommitAt: string | null;
    }[];
  }[];
  readonly workers: readonly { readonly id: string; readonly startedAt: string }[];
}

interface StatusFlags extends ClientFlags {
  readonly json?: boolean;
  readonly shards?: boolean;
  readonly wait?: string;
}

const POLL_MS = 200;

export function addStatus(program: Command, io: Io): void {
  const command = program
    .command('status')
    .description('show segments, shards, their owners and how far they lag')
    .option('--shards', 'one row a shard')
    .option('--wait <duration>', 'wait until nothing lags, at most this long; exit 5 when it still does');
  withExample(withApiFlags(command), 'stitchwork status', 'stitchwork status --wait 30s --json');
  command.action(async (flags: StatusFlags) => {
    const target = adminTarget(clientSettings(flags, io));
    const status =
      flags.wait === undefined ? await readStatus(target) : await waitForZeroLag(target, flags.wait, io);
    if (flags.json) io.out(JSON.stringify(status));
    else for (const line of describeStatus(status, flags.shards === true, io)) io.out(line);
    if (flags.wait !== undefined && lagOf(status) > 0) {
      throw new CommandFailure(EXIT.problems, `still ${lagOf(status)} behind after ${flags.wait}`);
    }
  });
}

export async function readStatus(target: ApiTarget): Promise<StatusAnswer> {
  return (await apiGet(target, '/v1/status')) as StatusAnswer;
}

export function lagOf(status: StatusAnswer): number {
  return status.segments.reduce((sum, segment) => sum + segment.lag, 0);
}

async function waitForZeroLag(target: ApiTarget, wait: string, io: Io): Promise<StatusAnswer> {
  const waitMs = parseDurationMs(wait);
  if (waitMs === undefined)
    throw new CommandFailure(EXIT.usage, `--wait ${wait}: give a duration such as 30s`);
  const deadlineMs = io.clock.elapsedMs() + waitMs;
  let status = await readStatus(target);
  while (lagOf(status) > 0 && io.clock.elapsedMs() < deadlineMs) {
    await io.clock.sleep(POLL_MS);
    status = await readStatus(target);
  }
  return status;
}

function describeStatus(status: StatusAnswer, byShard: boolean, io: Io): readonly string[] {
  const segments = status.segments.map((segment) => {
    const owned = segment.shards.filter((shard) => shard.owner !== null).length;
    return [
      segment.name,
      String(segment.configVersion),
      `${owned}/${segment.shards.length}`,
      String(segment.lag),
    ];
  });
  const lines = [...table([['SEGMENT', 'CONFIG', 'SHARDS OWNED', 'LAG'], ...segments], io.style), ''];
  lines.push(...table([['WORKER', 'STARTED'], ...status.workers.map((w) => [w.id, w.startedAt])], io.style));
  if (!byShard) return lines;
  const rows = status.segments.flatMap((segment) =>
    segment.shards.map((s) => [
      segment.name,
      String(s.shard),
      s.owner ?? '-',
      String(s.lag),
      s.lastCommitAt ?? '-',
    ]),
  );
  return [...lines, '', ...table([['SEGMENT', 'SHARD', 'OWNER', 'LAG', 'LAST COMMIT'], ...rows], io.style)];
}
