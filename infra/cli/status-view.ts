// The answer of GET /v1/status for people: tables for a screen, or one line.
import type { SegmentStatus, WorkerStatus } from '../../gateway/status/read-status.ts';
import type { HotRecord } from '../../shared/ports/membership.ts';
import { showSize } from '../show-size.ts';
import { type Style, table } from './io.ts';

export interface StatusAnswer {
  readonly segments: readonly SegmentStatus[];
  readonly workers: readonly { readonly id: string; readonly startedAt: string }[];
}

const HOT_SHOWN = 10;

/** Tables of everything that is there; with `byShard` a row for each shard as well. */
export function describeStatus(status: StatusAnswer, byShard: boolean, style: Style): readonly string[] {
  const parts = [
    status.segments.flatMap((segment) => segment.alarms.map((alarm) => style.red(alarmLine(segment, alarm)))),
    section(SEGMENT_HEAD, status.segments.map(segmentRow), style),
    section(WORKER_HEAD, status.segments.flatMap(workerRows), style),
    section(COPY_HEAD, status.segments.flatMap(copyRows), style),
    section(HOT_HEAD, status.segments.flatMap(hotRows), style),
    byShard ? section(SHARD_HEAD, status.segments.flatMap(shardRows), style) : [],
  ];
  return parts
    .filter((lines) => lines.length > 0)
    .flatMap((lines, index) => (index === 0 ? lines : ['', ...lines]));
}

/** The whole in one line, for a log. */
export function summarizeStatus(status: StatusAnswer): string {
  return status.segments
    .map((segment) => {
      const rates = sumOf(segment.workers, (activity) => activity.eventsPerSecond);
      const commits = sumOf(segment.workers, (activity) => activity.commitsPerSecond);
      const conflicts = sumOf(segment.workers, (activity) => activity.conflicts);
      const copyLag = segment.copies.reduce((sum, copy) => sum + copy.lag, 0);
      const alarms = segment.alarms.length > 0 ? ` alarms=${segment.alarms.length}` : '';
      return `${segment.name} owned=${ownedOf(segment)} lag=${segment.lag} events/s=${rates} commits/s=${commits} conflicts=${conflicts} copies_lag=${copyLag}${alarms}`;
    })
    .join('; ');
}

const SEGMENT_HEAD = ['SEGMENT', 'CONFIG', 'SHARDS OWNED', 'LAG', 'LAST COMMIT', 'LOG'];
const WORKER_HEAD = [
  'WORKER',
  'SEGMENT',
  'STARTED',
  'CONFIG',
  'SINCE',
  'SHARDS',
  'EVENTS/S',
  'COMMITS/S',
  'CONFLICTS',
  'FENCES',
  'UNKNOWN',
  'DEAD',
  'RESIDENTS',
];
const COPY_HEAD = ['COPY', 'SEGMENT', 'LAG', 'STATE'];
const HOT_HEAD = ['HOTTEST RECORDS', 'SEGMENT', 'WRITES', 'CONFLICTS'];
const SHARD_HEAD = ['SHARD', 'SEGMENT', 'OWNER', 'LAG', 'LAST COMMIT'];

function section(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  style: Style,
): readonly string[] {
  return rows.length === 0 ? [] : table([head, ...rows], style);
}

function alarmLine(segment: SegmentStatus, alarm: SegmentStatus['alarms'][number]): string {
  const where = [segment.name, alarm.shard === null ? '' : `shard ${alarm.shard}`, alarm.worker ?? ''];
  return `ALARM ${alarm.code} ${where.filter((part) => part !== '').join(', ')}: ${alarm.reason}`;
}

function segmentRow(segment: SegmentStatus): readonly string[] {
  const { bytes, bytesMax } = segment.log;
  const share = bytesMax === null ? '' : ` (${Math.round((bytes / bytesMax) * 100)} %)`;
  return [
    segment.name,
    String(segment.configVersion),
    ownedOf(segment),
    String(segment.lag),
    segment.lastCommitAt ?? '-',
    `${showSize(bytes)}${share}`,
  ];
}

function ownedOf(segment: SegmentStatus): string {
  const owned = segment.shards.filter((shard) => shard.owner !== null).length;
  return `${owned}/${segment.shards.length}`;
}

function workerRows(segment: SegmentStatus): readonly (readonly string[])[] {
  return segment.workers.map(({ id, startedAt, configVersion, configSince, shards, activity }) => {
    const told = activity
      ? [
          String(activity.eventsPerSecond),
          String(activity.commitsPerSecond),
          String(activity.conflicts),
          String(activity.fences),
          String(activity.unknownOutcomes),
          String(activity.deadLetters),
          `${activity.residents.count} (${showSize(activity.residents.bytes)})`,
        ]
      : Array.from({ length: 7 }, () => '-');
    const config = [String(configVersion), configSince ?? '-'];
    return [id, segment.name, startedAt, ...config, String(shards), ...told];
  });
}

function copyRows(segment: SegmentStatus): readonly (readonly string[])[] {
  return segment.copies.map(({ name, lag, running, error }) => [
    name,
    segment.name,
    String(lag),
    running ? 'running' : `STANDS STILL${error === null ? '' : `: ${error}`}`,
  ]);
}

function hotRows(segment: SegmentStatus): readonly (readonly string[])[] {
  const writes = merge(segment.workers, (activity) => activity.hotWrites);
  const conflicts = merge(segment.workers, (activity) => activity.hotConflicts);
  const records = new Set([...hottest(conflicts), ...hottest(writes)]);
  return [...records].map((record) => [
    record,
    segment.name,
    String(writes.get(record) ?? '-'),
    String(conflicts.get(record) ?? '-'),
  ]);
}

function hottest(counts: ReadonlyMap<string, number>): readonly string[] {
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, HOT_SHOWN)
    .map(([record]) => record);
}

function merge(
  workers: readonly WorkerStatus[],
  read: (activity: Activity) => readonly HotRecord[],
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { activity } of workers) {
    for (const { record, count } of activity ? read(activity) : []) {
      counts.set(record, (counts.get(record) ?? 0) + count);
    }
  }
  return counts;
}

type Activity = NonNullable<WorkerStatus['activity']>;

function sumOf(workers: readonly WorkerStatus[], read: (activity: Activity) => number): number {
  const sum = workers.reduce((total, { activity }) => total + (activity ? read(activity) : 0), 0);
  return Math.round(sum * 10) / 10;
}

function shardRows(segment: SegmentStatus): readonly (readonly string[])[] {
  return segment.shards.map(({ shard, owner, lag, lastCommitAt }) => [
    String(shard),
    segment.name,
    owner ?? '-',
    String(lag),
    lastCommitAt ?? '-',
  ]);
}
