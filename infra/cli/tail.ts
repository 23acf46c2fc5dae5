// `stitchwork tail`: what passes through a segment, as it happens: events, activations or audit entries.
import { Argument, type Command } from 'commander';
import type { SegmentNames } from '../../shared/contract/names.ts';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
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

const SOURCES = ['events', 'activations', 'audit'] as const;
type Source = (typeof SOURCES)[number];

interface TailFlags extends ClientFlags {
  readonly json?: boolean;
  readonly since?: string;
  readonly all?: boolean;
  readonly follow: boolean;
  readonly limit?: string;
}

export function addTail(program: Command, io: Io): void {
  const command = program
    .command('tail')
    .description('follow events, activations or audit entries as they happen')
    .addArgument(new Argument('[what]', 'which stream').choices(SOURCES).default('events'))
    .option('--since <duration>', 'begin this long ago')
    .option('--all', 'begin with the oldest kept')
    .option('--no-follow', 'end at the end of the stream')
    .option('-n, --limit <number>', 'end after so many');
  withExample(
    withNatsFlags(command),
    'stitchwork tail activations',
    'stitchwork tail events --since 5m --no-follow --json',
  );
  command.action(async (what: Source, flags: TailFlags) => {
    const limit = limitOf(flags);
    const sinceMs = sinceOf(flags);
    const stop = new AbortController();
    const interrupted = io.interruptible();
    interrupted.addEventListener('abort', () => stop.abort(interrupted.reason), { once: true });
    await withNats(flags, io, async (door, names) => {
      const fromTimeMs = sinceMs === undefined ? undefined : io.clock.nowMs() - sinceMs;
      const stream = streamOf(names, what);
      const start = startOf(flags, fromTimeMs);
      const messages = flags.follow
        ? followStream(door, stream, start, stop.signal)
        : readStream(door, stream, {});
      let shown = 0;
      for await (const message of messages) {
        if (stop.signal.aborted) break;
        if (fromTimeMs !== undefined && message.timeMs < fromTimeMs) continue;
        if (message.payload.length === 0) continue;
        io.out(flags.json ? jsonLine(message) : textLine(what, message, io));
        shown += 1;
        if (shown >= limit) break;
      }
      stop.abort(new Error('done'));
    });
  });
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

function streamOf(names: SegmentNames, what: Source): string {
  switch (what) {
    case 'events':
      return names.eventsStream;
    case 'activations':
      return names.activationsStream;
    case 'audit':
      return names.auditStream;
  }
}

function bodyOf(message: StreamMessage): unknown {
  const text = Buffer.from(message.payload).toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return { unreadable: Buffer.from(message.payload).toString('base64') };
  }
}

function jsonLine(message: StreamMessage): string {
  const { subject, sequence, timeMs } = message;
  return JSON.stringify({ subject, sequence, time: new Date(timeMs).toISOString(), body: bodyOf(message) });
}

function textLine(what: Source, message: StreamMessage, io: Io): string {
  const time = io.style.dim(new Date(message.timeMs).toISOString());
  const body = bodyOf(message) as Record<string, unknown>;
  switch (what) {
    case 'events': {
      const event = body.event as { name?: string; keys?: unknown; properties?: unknown } | undefined;
      const shown = event
        ? `${event.name} ${JSON.stringify(event.keys)} ${JSON.stringify(event.properties)}`
        : JSON.stringify(body);
      return `${time} ${message.subject} ${shown}`;
    }
    case 'activations':
      return `${time} ${io.style.bold(String(body.name))} profile ${body.profileId} ${JSON.stringify(body.payload)}`;
    case 'audit':
      return `${time} ${io.style.bold(String(body.kind))} profile ${body.profileId ?? '-'} ${JSON.stringify(body.facts)}`;
  }
}
