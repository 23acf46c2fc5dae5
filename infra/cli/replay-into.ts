// `stitchwork replay --into`, `compare` and `segment`: events once more, into a shadow segment on event time, and what would
// have come of them beside what came of them.
import { parseDocument } from 'yaml';
import { segmentNames } from '../../shared/contract/names.ts';
import { parseEvent } from '../../shared/contract/parse-event.ts';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { createConfigStore } from '../../shared/nats/config-store.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { readShadowOf, readShards, removeTopology } from '../../shared/nats/topology.ts';
import type { EventHistory } from '../../shared/ports/event-history.ts';
import { parseRoleSettings } from '../../shared/settings.ts';
import { openHistory } from '../batch-role.ts';
import { Belongings } from '../belongings.ts';
import { lazyDuck } from '../lazy-duck.ts';
import { createLog } from '../log.ts';
import type { Mapping } from '../replay/mapping.ts';
import { type FileFormat, readRows } from '../replay/read-rows.ts';
import { eventOf } from '../replay/replay-file.ts';
import { describeProblem, loadSegmentFiles, readSegmentText, type SegmentSource } from '../segment-files.ts';
import { type Comparison, compareSegments, type Difference } from '../shadow/compare.ts';
import { ownStream, type Stretch } from '../shadow/own-stream.ts';
import { type Replayed, replayInto, type SourceEvent } from '../shadow/replay-into.ts';
import { openShadow, type ShadowSegment } from '../shadow/shadow-segment.ts';
import { clientSettings } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import type { Io } from './io.ts';
import { withNats } from './nats-context.ts';

import type { ShadowFlags } from './shadow.ts';
export interface ShadowFile {
  readonly file: string;
  readonly format: FileFormat;
  readonly digest: string;
  readonly mapping: Mapping;
}

const EXAMPLES = 3;
const SEGMENT = /^[a-z0-9-]{1,32}$/;

/** Replays a file, or the segment's own stream when there is none, into the shadow `--into`. */
export async function replayIntoShadow(
  file: ShadowFile | undefined,
  ratePerSecond: number | undefined,
  flags: ShadowFlags,
  io: Io,
): Promise<void> {
  const into = flags.into!;
  if (!SEGMENT.test(into)) throw new CommandFailure(EXIT.usage, `--into ${into} is no name of a segment`);
  await withNats(flags, io, async (door, origin) => {
    if (into === origin.segment)
      throw new CommandFailure(
        EXIT.usage,
        `${into} is the live segment: a replay into it would count everything twice`,
      );
    const names = segmentNames(into);
    const shards = await readShards(door, names);
    const shadowOf = await readShadowOf(door, names);
    if (shards !== undefined && shadowOf === undefined)
      throw new CommandFailure(EXIT.usage, `${into} is a live segment, not a shadow: choose another name`);
    if (flags.restart && shadowOf !== undefined) await removeTopology(door, names);
    const source = renamed(await sourceOf(door, origin.segment, flags.config), into);
    const topology = {
      ...parseRoleSettings({ ...(flags.eventsMaxBytes && { eventsMaxBytes: flags.eventsMaxBytes }) }, io.env)
        .topology,
      shards: (await readShards(door, origin)) ?? 64,
    };
    const { dataDir } = clientSettings(flags, io);
    const belongings = new Belongings();
    const duck = lazyDuck(dataDir, belongings);
    const history = openHistory(door, origin, { dataDir, shards: topology.shards, duck });
    const shadow = await openShadow(door, source, origin.segment, topology, createLog('replay', 'warn'));
    try {
      const replayed = await run(shadow, history, file, ratePerSecond, flags, io);
      if (flags.compare) await compare(door, origin.segment, into, replayed.nowMs, flags, io);
    } finally {
      await shadow.stop();
      await belongings.close();
    }
  });
}

async function run(
  shadow: ShadowSegment,
  history: EventHistory,
  file: ShadowFile | undefined,
  ratePerSecond: number | undefined,
  flags: ShadowFlags,
  io: Io,
): Promise<Replayed> {
  const signal = io.interruptible();
  const startedMs = io.clock.elapsedMs();
  const skipped = { commands: 0, unreadable: 0 };
  const skip = (what: 'command' | 'unreadable') => {
    if (what === 'command') skipped.commands += 1;
    else skipped.unreadable += 1;
  };
  const events: AsyncIterable<SourceEvent> = file
    ? fileEvents(file, shadow, io)
    : ownStream(history, stretchOf(flags, io), skip, signal);
  const untilMs = flags.until === undefined ? undefined : momentOf('--until', flags.until, io);
  const replayed = await replayInto(shadow, events, {
    clock: io.clock,
    signal,
    ratePerSecond,
    endMs: file ? untilMs : (untilMs ?? io.clock.nowMs()),
    onProgress: ({ sent, nowMs }) => io.progress(`${sent} events, at ${new Date(nowMs).toISOString()}`),
  });
  const seconds = Math.max(0.001, (io.clock.elapsedMs() - startedMs) / 1000);
  if (flags.json && !flags.compare) io.out(JSON.stringify({ ...replayed, ...skipped, seconds }));
  else if (!flags.json) {
    const rate = Math.round(replayed.sent / seconds).toLocaleString('en');
    const from =
      replayed.resumedAfter === undefined ? '' : `, after ${replayed.resumedAfter} of an earlier run`;
    io.out(
      `${replayed.sent} events${from}, ${rate}/s; ${replayed.rung} timers; at ${new Date(replayed.nowMs).toISOString()}`,
    );
    if (skipped.commands > 0) io.talk(`${skipped.commands} splits and merges by hand were left out`);
    if (skipped.unreadable > 0) io.talk(`${skipped.unreadable} messages could not be read`);
  }
  return replayed;
}

/** Rows of a file at their own times; those without a time happen at the time before. */
async function* fileEvents(file: ShadowFile, shadow: ShadowSegment, io: Io): AsyncGenerator<SourceEvent> {
  const keyNames = shadow.segment.config().stitching.keys.map(({ name }) => name);
  let timeMs = 0;
  for await (const row of readRows(file.file, file.format)) {
    const mapped = eventOf(row, { mapping: file.mapping, fileDigest: file.digest });
    if ('reason' in mapped) {
      io.talk(`line ${row.line}: ${mapped.reason}`);
      continue;
    }
    const parsed = parseEvent(mapped.event, keyNames, () => `row-${row.row}`);
    if (parsed.kind === 'rejected') {
      io.talk(`line ${row.line}: ${parsed.code} ${parsed.message}`);
      continue;
    }
    const { event } = parsed;
    timeMs = Math.max(timeMs, event.timestampMs ?? timeMs);
    yield { said: { v: 1, type: 'event', event }, timeMs, position: row.row };
  }
}

async function sourceOf(door: NatsDoor, origin: string, file: string | undefined): Promise<SegmentSource> {
  if (file !== undefined) return (await loadSegmentFiles([file]))[0]!;
  const stored = await createConfigStore(door, segmentNames(origin)).current();
  if (!stored)
    throw new StitchworkError('UNKNOWN_SEGMENT', `segment ${origin} has no config: give --config FILE`);
  return readText(stored.yaml);
}

/** The config under the name of the shadow. */
function renamed({ yaml }: SegmentSource, segment: string): SegmentSource {
  const document = parseDocument(yaml);
  document.set('segment', segment);
  return readText(document.toString());
}

function readText(yaml: string): SegmentSource {
  const { source, problems } = readSegmentText(yaml);
  if (source) return source;
  throw new StitchworkError('INVALID_CONFIG', problems.map(describeProblem).join('\n'), {
    details: problems,
  });
}

function stretchOf(flags: ShadowFlags, io: Io): Stretch {
  const sequence = (name: string, text: string | undefined) => {
    if (text === undefined || /^[1-9]\d{0,15}$/.test(text))
      return text === undefined ? undefined : Number(text);
    throw new CommandFailure(EXIT.usage, `${name} ${text}: give the sequence of a message`);
  };
  return {
    fromSequence: sequence('--from-seq', flags.fromSeq),
    toSequence: sequence('--to-seq', flags.toSeq),
    sinceMs: flags.since === undefined ? undefined : momentOf('--since', flags.since, io),
    untilMs: flags.until === undefined ? undefined : momentOf('--until', flags.until, io),
    keys: (flags.only ?? []).map((text) => {
      const at = text.indexOf(':');
      if (at < 1) throw new CommandFailure(EXIT.usage, `--only ${text}: write a key as name:value`);
      return { name: text.slice(0, at), value: text.slice(at + 1) };
    }),
  };
}

/** A time of ISO 8601, or how long ago. */
function momentOf(name: string, text: string, io: Io): number {
  const ago = parseDurationMs(text);
  const ms = ago === undefined ? Date.parse(text) : io.clock.nowMs() - ago;
  if (Number.isFinite(ms)) return ms;
  throw new CommandFailure(EXIT.usage, `${name} ${text}: give a time such as 2026-11-20T08:00:00Z, or 24h`);
}

/** `stitchwork compare` */
export async function runCompare(first: string, second: string, flags: ShadowFlags, io: Io): Promise<void> {
  await withNats({ ...flags, segment: first }, io, (door) => {
    const at = flags.at === undefined ? io.clock.nowMs() : momentOf('--at', flags.at, io);
    return compare(door, first, second, at, flags, io);
  });
}

/** `stitchwork segment rm` */
export async function removeShadow(name: string, flags: ShadowFlags, io: Io): Promise<void> {
  await withNats({ ...flags, segment: name }, io, async (door, names) => {
    const shadowOf = await readShadowOf(door, names);
    if (shadowOf === undefined) {
      const isLive = (await readShards(door, names)) !== undefined;
      throw isLive
        ? new CommandFailure(EXIT.usage, `${name} is a live segment: it is not removed from here`)
        : new CommandFailure(EXIT.notFound, `there is no segment ${name}`);
    }
    if (!flags.yes)
      throw new CommandFailure(EXIT.usage, `this removes the shadow ${name} of ${shadowOf}: add --yes`);
    await removeTopology(door, names);
    io.out(flags.json ? JSON.stringify({ removed: name }) : `removed ${name}`);
  });
}

async function compare(
  door: NatsDoor,
  first: string,
  second: string,
  nowMs: number,
  flags: ShadowFlags,
  io: Io,
): Promise<void> {
  const [a, b] = await Promise.all([first, second].map((segment) => sideOf(door, segment)));
  const examples = Number(flags.examples ?? EXAMPLES);
  const comparison = await compareSegments(door, a!, b!, { nowMs, examples });
  const differ = Object.values(comparison.counts).some((count) => count > 0);
  if (flags.json) io.out(JSON.stringify({ at: new Date(nowMs).toISOString(), ...comparison }));
  else for (const line of describeComparison(comparison, first, second)) io.out(line);
  if (differ) throw new CommandFailure(EXIT.problems, '');
}

async function sideOf(door: NatsDoor, segment: string) {
  const names = segmentNames(segment);
  const stored = await createConfigStore(door, names).current();
  if (!stored) throw new CommandFailure(EXIT.notFound, `there is no segment ${segment}`);
  return { names, config: readText(stored.yaml).config };
}

const WORDS: Readonly<Record<Difference['kind'], string>> = {
  parted: 'profiles of the first are several in the second',
  joined: 'profiles of the second are several in the first',
  only_first: 'profiles are in the first alone',
  only_second: 'profiles are in the second alone',
  keys: 'profiles have other keys',
  attribute: 'attributes differ',
  audience: 'memberships differ',
  activation: 'causes set off another number of activations',
};

function describeComparison(found: Comparison, first: string, second: string): readonly string[] {
  const { profiles, activations, counts, examples } = found;
  const lines = [
    `profiles: ${profiles.first} in ${first}, ${profiles.second} in ${second}`,
    `activations: ${activations.first} in ${first}, ${activations.second} in ${second}`,
  ];
  const kinds = Object.keys(WORDS) as Difference['kind'][];
  for (const kind of kinds.filter((each) => counts[each] > 0)) {
    lines.push(`${counts[kind]} ${WORDS[kind]}`);
    for (const { kind: _, ...example } of examples.filter((one) => one.kind === kind))
      lines.push(`  ${JSON.stringify(example)}`);
  }
  return kinds.some((kind) => counts[kind] > 0) ? lines : [...lines, 'no difference'];
}
