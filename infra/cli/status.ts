// `stitchwork status`: segments, shards, workers and copies as the gateway tells them: once, until nothing lags, or again
// and again.
import type { Command } from 'commander';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import { errorText } from '../../shared/kernel/errors.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { type ApiTarget, apiGet } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withApiFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';
import { describeStatus, type StatusAnswer, summarizeStatus } from './status-view.ts';

interface StatusFlags extends ClientFlags {
  readonly json?: boolean;
  readonly shards?: boolean;
  readonly wait?: string;
  readonly watch?: boolean;
}

const POLL_MS = 200;
const WATCH_MS = 1000;

export function addStatus(program: Command, io: Io): void {
  const command = program
    .command('status')
    .description('show segments, workers, copies, how far they lag, and which records are hottest')
    .option('--shards', 'also one row a shard: owner, lag, last commit')
    .option('--wait <duration>', 'wait until nothing lags, at most this long; exit 5 when it still does')
    .option('--watch', 'again every second until Ctrl-C; a line each time when it is not on a terminal');
  withExample(
    withApiFlags(command),
    'stitchwork status --shards',
    'stitchwork status --wait 30s --json',
    'stitchwork status --watch',
  );
  command.action(async (flags: StatusFlags) => {
    if (flags.watch && flags.wait !== undefined)
      throw new CommandFailure(EXIT.usage, 'give --watch or --wait, not both');
    const target = adminTarget(clientSettings(flags, io));
    if (flags.watch) return watch(target, flags, io);
    const status =
      flags.wait === undefined ? await readStatus(target) : await waitForZeroLag(target, flags.wait, io);
    if (flags.json) io.out(JSON.stringify(status));
    else for (const line of describeStatus(status, flags.shards === true, io.style)) io.out(line);
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

/** Shows the status until interrupted. Once it has answered, a gateway that is gone for a while is waited for. */
async function watch(target: ApiTarget, flags: StatusFlags, io: Io): Promise<void> {
  const interrupted = io.interruptible();
  show(await readStatus(target), flags, io);
  while (await pause(io, interrupted)) {
    try {
      show(await readStatus(target), flags, io);
    } catch (error) {
      io.talk(`stitchwork: ${errorText(error)}`);
    }
  }
}

function show(status: StatusAnswer, flags: StatusFlags, io: Io): void {
  const time = new Date(io.clock.nowMs()).toISOString();
  if (flags.json) io.out(JSON.stringify({ time, ...status }));
  else if (io.terminal)
    io.redraw([io.style.dim(time), ...describeStatus(status, flags.shards === true, io.style)]);
  else io.out(`${time} ${summarizeStatus(status)}`);
}

/** False when interrupted. */
async function pause(io: Io, interrupted: AbortSignal): Promise<boolean> {
  try {
    await io.clock.sleep(WATCH_MS, interrupted);
    return true;
  } catch {
    // Only the interruption ends the wait early.
    return false;
  }
}
