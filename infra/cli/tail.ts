// `stitchwork tail`: what passes through a segment, as it happens: events, activations, attempts to deliver them, or audit entries.
import { Argument, type Command } from 'commander';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import { createConfigStore } from '../../shared/nats/config-store.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import {
  type FollowOptions,
  followStream,
  readStream,
  type StreamMessage,
} from '../../shared/nats/stream-reader.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withExample, withNatsFlags } from './flags.ts';
import type { Io } from './io.ts';
import { withNats } from './nats-context.ts';
import {
  compileWhere,
  type MessageFilter,
  messageFilter,
  TAIL_SOURCES,
  type TailSource,
} from './tail-filter.ts';
import { jsonLine, textLine } from './tail-view.ts';

interface TailFlags extends ClientFlags {
  readonly json?: boolean;
  readonly since?: string;
  readonly all?: boolean;
  readonly follow: boolean;
  readonly limit?: string;
  readonly where?: string;
}

export function addTail(program: Command, io: Io): void {
  const command = program
    .command('tail')
    .description('follow events, activations, deliveries or audit entries as they happen')
    .addArgument(new Argument('[what]', 'which stream').choices(TAIL_SOURCES).default('events'))
    .option(
      '--where <condition>',
      'only what this CEL condition holds for: over event, activation, delivery or audit, and subject, now',
    )
    .option('--since <duration>', 'begin this long ago')
    .option('--all', 'begin with the oldest kept')
    .option('--no-follow', 'end at the end of the stream')
    .option('-n, --limit <number>', 'end after so many');
  withExample(
    withNatsFlags(command),
    'stitchwork tail activations',
    'stitchwork tail events --since 5m --no-follow --json',
    `stitchwork tail events --where 'event.name == "Order Completed" && event.properties.revenue > 100'`,
    `stitchwork tail deliveries --where 'delivery.outcome != "delivered"'`,
    `stitchwork tail audit --all --where 'audit.kind == "profiles_merged"'`,
  );
  command.action(async (what: TailSource, flags: TailFlags) => {
    const limit = limitOf(flags);
    const sinceMs = sinceOf(flags);
    const condition = flags.where === undefined ? undefined : compileWhere(flags.where, what);
    const interrupted = io.interruptible();
    await withNats(flags, io, async (door, names) => {
      const config = condition && what === 'events' ? await deployedConfig(door, names) : undefined;
      const filter = condition && messageFilter(condition, what, config);
      const fromTimeMs = sinceMs === undefined ? undefined : io.clock.nowMs() - sinceMs;
      const stop = new AbortController();
      interrupted.addEventListener('abort', () => stop.abort(interrupted.reason), { once: true });
      if (interrupted.aborted) stop.abort(interrupted.reason);
      const part = what === 'deliveries' ? names.attemptsFilter : undefined;
      const messages = open(door, { stream: streamOf(names, what), part }, flags, fromTimeMs, stop.signal);
      await show(messages, { what, limit, fromTimeMs, filter, json: flags.json === true }, stop, io);
      tellFailures(filter, io);
    });
  });
}

interface Shown {
  readonly what: TailSource;
  readonly limit: number;
  readonly fromTimeMs: number | undefined;
  readonly filter: MessageFilter | undefined;
  readonly json: boolean;
}

async function show(
  messages: AsyncIterable<StreamMessage>,
  { what, limit, fromTimeMs, filter, json }: Shown,
  stop: AbortController,
  io: Io,
): Promise<void> {
  let shown = 0;
  for await (const message of messages) {
    if (stop.signal.aborted) break;
    if (fromTimeMs !== undefined && message.timeMs < fromTimeMs) continue;
    if (message.payload.length === 0) continue;
    if (filter && !filter.accepts(message)) continue;
    io.out(json ? jsonLine(message) : textLine(what, message, io.style));
    shown += 1;
    if (shown >= limit) break;
  }
  stop.abort(new Error('done'));
}

function tellFailures(filter: MessageFilter | undefined, io: Io): void {
  const { count, first } = filter?.failures ?? { count: 0, first: undefined };
  if (count > 0) io.talk(`--where could not be evaluated on ${count} messages, first because: ${first}`);
}

async function* open(
  door: NatsDoor,
  { stream, part }: { readonly stream: string; readonly part: string | undefined },
  flags: TailFlags,
  fromTimeMs: number | undefined,
  signal: AbortSignal,
): AsyncIterable<StreamMessage> {
  const filter = part === undefined ? {} : { filter: part };
  if (flags.follow) {
    yield* followStream(door, stream, { ...startOf(flags, fromTimeMs), ...filter }, signal);
    return;
  }
  const fromSequence = fromTimeMs === undefined ? 1 : await firstSince(door, stream, fromTimeMs);
  yield* readStream(door, stream, { fromSequence, ...filter });
}

/** A sequence at or before the first message stored since a time, by bisection. */
async function firstSince(door: NatsDoor, stream: string, timeMs: number): Promise<number> {
  const at = async (sequence: number) => {
    for await (const message of readStream(door, stream, { fromSequence: sequence, limit: 1 }))
      return message;
    return undefined;
  };
  let low = (await at(1))?.sequence ?? 1;
  let step = 1;
  // First upwards in growing steps, since where the stream ends is not known; then between the last two.
  for (
    let message = await at(low + step);
    message && message.timeMs < timeMs;
    message = await at(low + step)
  ) {
    low = message.sequence;
    step *= 2;
  }
  let high = low + step;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const message = await at(middle);
    if (message && message.timeMs < timeMs) low = message.sequence;
    else high = middle;
  }
  return low;
}

/** The segment's config in force, if it can be read: conditions see keys as it normalizes them. */
async function deployedConfig(door: NatsDoor, names: SegmentNames): Promise<SegmentConfig | undefined> {
  const stored = await createConfigStore(door, names).current();
  if (!stored) return undefined;
  const { readSegmentText } = await import('../segment-files.ts');
  return readSegmentText(stored.yaml).source?.config;
}

function limitOf(flags: TailFlags): number {
  if (flags.limit === undefined) return Number.POSITIVE_INFINITY;
  if (/^[1-9]\d*$/.test(flags.limit)) return Number(flags.limit);
  throw new CommandFailure(EXIT.usage, `--limit ${flags.limit}: give a number above 0`);
}

function sinceOf(flags: TailFlags): number | undefined {
  if (flags.since === undefined) return undefined;
  const sinceMs = parseDurationMs(flags.since);
  if (sinceMs === undefined)
    throw new CommandFailure(EXIT.usage, `--since ${flags.since}: give a duration such as 5m`);
  return sinceMs;
}

function startOf(flags: TailFlags, fromTimeMs: number | undefined): FollowOptions {
  if (fromTimeMs !== undefined) return { fromTimeMs };
  return flags.all ? { fromSequence: 1 } : { newOnly: true };
}

function streamOf(names: SegmentNames, what: TailSource): string {
  switch (what) {
    case 'events':
      return names.eventsStream;
    case 'activations':
      return names.activationsStream;
    case 'deliveries':
      return names.deliveriesStream;
    case 'audit':
      return names.auditStream;
  }
}
