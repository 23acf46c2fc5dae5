// Streams and buckets as data, and what makes the server agree: ensure creates and updates, diff only tells. What the
// server kept is read back, since an old one accepts options that it does not know and drops them.
import {
  bucketStream,
  CONFIG_BUCKET,
  EVENT_SOURCES,
  MEMBERS_BUCKET,
  OUTBOX_FILTERS,
  type SegmentNames,
} from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { NatsDoor } from './connect.ts';
import { type ApiAnswer, callApi, streamInfo } from './jetstream-api.ts';
import { whileBehind } from './leader-lag.ts';

export interface TopologyOptions {
  readonly shards: number;
  readonly replicas?: number;
  /** Size limit of the event log; at the limit the gateway answers 503. */
  readonly eventsBytesMax?: number;
  readonly activationsAgeMs?: number;
  /** Most attempts that are kept; beyond it the oldest go. */
  readonly deliveriesMax?: number;
  readonly auditAgeMs?: number;
  readonly deadAgeMs?: number;
  /** How long a member's heartbeat counts. */
  readonly membersTtlMs?: number;
  /** It is no segment of its own: what is replayed into it, for comparison. */
  readonly shadowOf?: string;
}

export interface StreamSpec {
  readonly name: string;
  /** Fields of the JetStream stream configuration, as the server's API has them. */
  readonly config: Readonly<Record<string, unknown>>;
}

export type Topology = readonly StreamSpec[];

export interface TopologyDifference {
  readonly stream: string;
  readonly field: string;
  readonly wanted: unknown;
  readonly found: unknown;
}

export const SHARDS_METADATA = 'stitchwork.shards';
export const SHADOW_METADATA = 'stitchwork.shadow-of';
const DAY_MS = 86_400_000;
const NS = 1e6;
const STREAM_NAME_IN_USE = 10058;
/** Too few servers for the copies, and a server that is in no cluster. */
const NO_PEERS = 10005;
const NOT_CLUSTERED = 10074;
const UNAVAILABLE = 503;
const NOT_FOUND = 404;

/** Everything that a segment needs, in the order in which it must be made. */
export function describeTopology(names: SegmentNames, options: TopologyOptions): Topology {
  const replicas = options.replicas ?? 1;
  const copy = (name: string, subjects: string, outbox: OutboxName, ageMs: number): StreamSpec => ({
    name,
    config: {
      ...base(replicas),
      ...KEPT_AS_IS,
      description: `Stitchwork, segment ${names.segment}: ${subjects}`,
      max_age: ageMs * NS,
      sources: [outboxSource(names, outbox)],
    },
  });
  return [
    bucketSpec(names, replicas),
    {
      name: names.eventsStream,
      config: {
        ...base(replicas),
        subjects: EVENT_SOURCES.filter((source) => source !== 'timer').map(names.sourceFilter),
        ...KEPT_AS_IS,
        discard: 'new',
        max_bytes: options.eventsBytesMax ?? 8 * 1024 ** 3,
        allow_atomic: true,
        duplicate_window: 120_000 * NS,
        metadata: {
          [SHARDS_METADATA]: String(options.shards),
          ...(options.shadowOf !== undefined && { [SHADOW_METADATA]: options.shadowOf }),
        },
        sources: [outboxSource(names, 'fired')],
      },
    },
    copy(names.activationsStream, 'activations', 'activation', options.activationsAgeMs ?? 30 * DAY_MS),
    deliveriesSpec(names, replicas, options),
    copy(names.auditStream, 'audit', 'audit', options.auditAgeMs ?? 30 * DAY_MS),
    copy(names.deadStream, 'dead letters', 'dead', options.deadAgeMs ?? 90 * DAY_MS),
    kvSpec(names.snapshotsBucket, replicas, { allow_atomic: true }),
    kvSpec(CONFIG_BUCKET, replicas, { allow_atomic: true }),
    kvSpec(MEMBERS_BUCKET, replicas, { storage: 'memory', max_age: (options.membersTtlMs ?? 3000) * NS }),
  ];
}

/** Attempts to deliver, and by destination and activation what was tried so far: replaced, and gone after its time. */
function deliveriesSpec(names: SegmentNames, replicas: number, options: TopologyOptions): StreamSpec {
  return {
    name: names.deliveriesStream,
    config: {
      ...base(replicas),
      subjects: [names.deliveriesFilter],
      allow_atomic: true,
      allow_rollup_hdrs: true,
      allow_msg_ttl: true,
      deny_delete: false,
      max_age: (options.activationsAgeMs ?? 30 * DAY_MS) * NS,
      // By number: a limit in bytes is storage that the server sets aside.
      max_msgs: options.deliveriesMax ?? 5_000_000,
    },
  };
}

/** A target of copies takes no message TTL and no rollup: either would remove what was copied. */
const KEPT_AS_IS = { allow_msg_ttl: false, allow_rollup_hdrs: false } as const;

function base(replicas: number) {
  return {
    retention: 'limits',
    storage: 'file',
    num_replicas: replicas,
    discard: 'old',
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msgs_per_subject: -1,
    allow_direct: true,
  } as const;
}

/** The profile bucket: a KV bucket whose stream also takes atomic batches and message schedules. */
function bucketSpec(names: SegmentNames, replicas: number): StreamSpec {
  return {
    name: names.profilesStream,
    config: {
      ...base(replicas),
      subjects: [`${names.recordSubjectPrefix}>`],
      max_msgs_per_subject: 1,
      allow_rollup_hdrs: true,
      deny_delete: false,
      allow_atomic: true,
      allow_msg_schedules: true,
      allow_msg_ttl: true,
    },
  };
}

function kvSpec(bucket: string, replicas: number, extra: Readonly<Record<string, unknown>>): StreamSpec {
  return {
    name: bucketStream(bucket),
    config: {
      ...base(replicas),
      subjects: [`$KV.${bucket}.>`],
      max_msgs_per_subject: 1,
      discard: 'new',
      allow_rollup_hdrs: true,
      deny_delete: true,
      ...extra,
    },
  };
}

export type OutboxName = keyof typeof OUTBOX_FILTERS;

/** How a stream copies one part of the outbox out of the profile bucket. */
export function outboxSource(names: SegmentNames, outbox: OutboxName) {
  const src = names.recordSubject(OUTBOX_FILTERS[outbox]);
  return { name: names.profilesStream, subject_transforms: [{ src, dest: names.copyDestinations[outbox] }] };
}

/** Creates what is missing and mends what differs. Safe when several do it at once. Returns what it did. */
export async function ensureTopology(door: NatsDoor, topology: Topology): Promise<readonly string[]> {
  const done: string[] = [];
  for (const spec of topology) {
    const found = await streamInfo(door, spec.name, 'LOG_UNAVAILABLE');
    if (!found) {
      if (await create(door, spec)) done.push(`created ${spec.name}`);
    } else {
      const wrong = differences(spec, found.config);
      if (wrong.length === 0) continue;
      refuseUnchangeable(wrong);
      await update(door, spec, found.config);
      done.push(`updated ${spec.name}: ${wrong.map(({ field }) => field).join(', ')}`);
    }
  }
  // Another role may be setting a copy up anew, which takes its source away for a moment.
  const look = () => diffTopology(door, topology);
  const left = await whileBehind(look, (differing) => -differing.length, 0);
  if (left.length === 0) return done;
  const list = left.map(
    ({ stream, field, wanted, found }) => `${stream}.${field} is ${json(found)}, not ${json(wanted)}`,
  );
  throw new StitchworkError('TOPOLOGY_MISMATCH', `the server did not keep: ${list.join('; ')}`);
}

/** What differs between the description and the server. Throws LOG_UNAVAILABLE. */
export async function diffTopology(
  door: NatsDoor,
  topology: Topology,
): Promise<readonly TopologyDifference[]> {
  const all: TopologyDifference[] = [];
  for (const spec of topology) {
    const found = await streamInfo(door, spec.name, 'LOG_UNAVAILABLE');
    if (found) all.push(...differences(spec, found.config));
    else all.push({ stream: spec.name, field: '(stream)', wanted: 'present', found: 'absent' });
  }
  return all;
}

/** What is replayed into the segment, when it is a shadow; undefined when it is none, or does not exist. */
export async function readShadowOf(door: NatsDoor, names: SegmentNames): Promise<string | undefined> {
  const info = await streamInfo(door, names.eventsStream, 'LOG_UNAVAILABLE');
  return (info?.config.metadata as Record<string, string> | undefined)?.[SHADOW_METADATA];
}

/** Removes every stream and bucket of a segment. What is gone already is left alone. */
export async function removeTopology(door: NatsDoor, names: SegmentNames): Promise<void> {
  const own = describeTopology(names, { shards: 1 }).filter(
    ({ name }) => name !== bucketStream(CONFIG_BUCKET) && name !== bucketStream(MEMBERS_BUCKET),
  );
  // Copies before what they are copied from.
  for (const { name } of [...own].reverse()) {
    const answer = await callApi(door, `STREAM.DELETE.${name}`, {});
    if (answer.kind === 'none') throw new StitchworkError('LOG_UNAVAILABLE', `${name}: ${answer.reason}`);
    if (answer.kind === 'error' && answer.error.code !== NOT_FOUND)
      throw new StitchworkError('LOG_UNAVAILABLE', `${name}: ${answer.error.description}`);
  }
}

/** How many shards the segment was made with; undefined when it does not exist yet. */
export async function readShards(door: NatsDoor, names: SegmentNames): Promise<number | undefined> {
  const info = await streamInfo(door, names.eventsStream, 'LOG_UNAVAILABLE');
  const metadata = info?.config.metadata as Record<string, string> | undefined;
  const shards = Number(metadata?.[SHARDS_METADATA]);
  return Number.isInteger(shards) && shards > 0 ? shards : undefined;
}

/** What must not be on a stream that takes copies or is copied from, with the value it must have. */
const FORBIDDEN = { subject_delete_marker_ttl: 0 } as const;

function differences(spec: StreamSpec, found: Readonly<Record<string, unknown>>): TopologyDifference[] {
  const list: TopologyDifference[] = [];
  for (const [field, wanted] of Object.entries({ ...spec.config, ...FORBIDDEN })) {
    if (field === 'description') continue;
    const value = found[field] ?? emptyOf(wanted);
    // More copies than asked for are kept: a role that was started without the flag must not take any away.
    if (field === 'num_replicas' && Number(value) > Number(wanted)) continue;
    if (!matches(wanted, value)) list.push({ stream: spec.name, field, wanted, found: value });
  }
  return list;
}

function emptyOf(wanted: unknown): unknown {
  if (typeof wanted === 'boolean') return false;
  return typeof wanted === 'number' ? 0 : undefined;
}

/** Whether every part that is wanted is there; the server may add its own (metadata, defaults). */
function matches(wanted: unknown, found: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(found) &&
      wanted.length === found.length &&
      wanted.every((part, i) => matches(part, found[i]))
    );
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof found !== 'object' || found === null) return false;
    const parts = found as Record<string, unknown>;
    return Object.entries(wanted).every(([key, part]) => matches(part, parts[key]));
  }
  return wanted === found;
}

const UNCHANGEABLE = new Set(['storage', 'retention', 'metadata']);

function refuseUnchangeable(wrong: readonly TopologyDifference[]): void {
  const fixed = wrong.filter(({ field }) => UNCHANGEABLE.has(field));
  if (fixed.length === 0) return;
  const list = fixed.map(({ stream, field, found }) => `${stream}.${field} (now ${json(found)})`);
  throw new StitchworkError(
    'TOPOLOGY_MISMATCH',
    `cannot be changed once a segment exists: ${list.join('; ')}`,
  );
}

async function create(door: NatsDoor, spec: StreamSpec): Promise<boolean> {
  const answer = await callApi(door, `STREAM.CREATE.${spec.name}`, { name: spec.name, ...spec.config });
  if (answer.kind === 'ok') return true;
  if (answer.kind === 'error' && answer.error.err_code === STREAM_NAME_IN_USE) return false;
  throw failed(spec, answer);
}

/** Updates a stream to its description, keeping what the description does not speak of. */
async function update(
  door: NatsDoor,
  spec: StreamSpec,
  found: Readonly<Record<string, unknown>>,
): Promise<void> {
  const num_replicas = Math.max(Number(found.num_replicas ?? 1), Number(spec.config.num_replicas ?? 1));
  const config = { ...found, ...spec.config, ...FORBIDDEN, num_replicas, name: spec.name };
  const answer = await callApi(door, `STREAM.UPDATE.${spec.name}`, config);
  if (answer.kind !== 'ok') throw failed(spec, answer);
}

function failed({ name, config }: StreamSpec, answer: Exclude<ApiAnswer, { kind: 'ok' }>): StitchworkError {
  if (answer.kind === 'none') return new StitchworkError('LOG_UNAVAILABLE', `${name}: ${answer.reason}`);
  const { code, err_code, description } = answer.error;
  if (code === UNAVAILABLE) return new StitchworkError('LOG_UNAVAILABLE', `${name}: ${description}`);
  if (err_code !== NO_PEERS && err_code !== NOT_CLUSTERED)
    return new StitchworkError('TOPOLOGY_MISMATCH', `${name}: ${description}`);
  const copies = config.num_replicas;
  return new StitchworkError(
    'LOG_UNAVAILABLE',
    `${name} is to have ${copies} copies, for which ${copies} servers of one cluster must be running (${description}). Start those that are missing, or ask for fewer --replicas`,
  );
}

function json(value: unknown): string {
  return JSON.stringify(value) ?? 'absent';
}
