// Every stream, bucket, subject and record key is named here and nowhere else.
import { sha256Base64Url } from '../kernel/hash.ts';

export const CONFIG_BUCKET = 'stitchwork_config';
export const MEMBERS_BUCKET = 'stitchwork_members';
export const DEFAULT_SHARDS = 64;
export const EVENT_SOURCES = ['ingest', 'timer', 'command', 'batch'] as const;
export type EventSource = (typeof EVENT_SOURCES)[number];

/** The source that a token of an event's subject names. */
export function sourceOf(token: string | undefined): EventSource {
  return EVENT_SOURCES.find((source) => source === token) ?? 'ingest';
}

/** Longest key value, in bytes, that stands in a subject as itself; a longer one stands as its hash. */
const KEY_VALUE_BYTES_MAX = 120;

/** Names of one parent segment: `segment` matches [a-z0-9-]{1,32}. */
export function segmentNames(segment: string) {
  const bucket = `profiles_${segment}`;
  return {
    segment,
    eventsStream: `EVENTS_${segment}`,
    activationsStream: `ACTIVATIONS_${segment}`,
    auditStream: `AUDIT_${segment}`,
    deadStream: `DEAD_${segment}`,
    deliveriesStream: `DELIVERIES_${segment}`,
    profilesBucket: bucket,
    profilesStream: bucketStream(bucket),
    snapshotsBucket: `snapshots_${segment}`,
    snapshotsStream: bucketStream(`snapshots_${segment}`),
    /** Subject of a key of the snapshot bucket. */
    snapshotSubject: (key: string) => `$KV.snapshots_${segment}.${key}`,
    /** Subject of a record key of the profile bucket. */
    recordSubject: (key: string) => `$KV.${bucket}.${key}`,
    recordSubjectPrefix: `$KV.${bucket}.`,
    eventSubject: (shard: number, source: EventSource) => `events.${segment}.${shard}.${source}`,
    shardFilter: (shard: number) => `events.${segment}.${shard}.*`,
    eventsFilter: `events.${segment}.>`,
    /** Events of one source, of all shards. */
    sourceFilter: (source: EventSource) => `events.${segment}.*.${source}`,
    activationSubject: (name: string) => `activations.${segment}.${name}`,
    activationsFilter: `activations.${segment}.>`,
    auditSubject: (kind: string) => `audit.${segment}.${kind}`,
    auditFilter: `audit.${segment}.>`,
    deadSubject: (shard: number) => `dead.${segment}.${shard}`,
    /** Dead letters of activations to a destination. */
    deadActivationsSubject: (destination: string) => `dead.${segment}.${destination}`,
    deadFilter: `dead.${segment}.>`,
    deliveriesFilter: `deliveries.${segment}.>`,
    /** Attempts to deliver an activation. */
    attemptSubject: (activation: string) => `deliveries.${segment}.attempt.${activation}`,
    attemptsFilter: `deliveries.${segment}.attempt.*`,
    /** What was tried of a delivery that is not over. */
    pastSubject: (destination: string, key: string) => `deliveries.${segment}.past.${destination}.${key}`,
    /** The consumer of activations of a destination. */
    deliveryConsumer: (destination: string) => `to-${destination}`,
    /** Where the server's copies of the outbox go: the second token of the record key, then nothing unique. */
    copyDestinations: {
      activation: `activations.${segment}.{{wildcard(1)}}`,
      audit: `audit.${segment}.{{wildcard(1)}}`,
      dead: `dead.${segment}.{{wildcard(1)}}`,
      fired: `events.${segment}.{{wildcard(1)}}.timer`,
    },
    /** Core subject on which a worker answers probes. */
    probeSubject: (workerId: string) => `stitchwork.${segment}.probe.${workerId}`,
    /** Core subject on which a batch process answers while it is there. */
    presenceSubject: (id: string) => `stitchwork.${segment}.batch.${id}`,
    memberKey: (workerId: string) => `${segment}.worker.${workerId}`,
    memberKeyFilter: `${segment}.worker.*`,
    configKey: `${segment}.current`,
    configVersionKey: (version: number) => `${segment}.version.${version}`,
    configEntryKey: (version: number) => `${segment}.entry.${version}`,
  } as const;
}

export type SegmentNames = ReturnType<typeof segmentNames>;

/** The stream behind a key-value bucket. */
export function bucketStream(bucket: string): string {
  return `KV_${bucket}`;
}

/** The subject of a key of a key-value bucket. */
export function bucketSubject(bucket: string, key: string): string {
  return `$KV.${bucket}.${key}`;
}

/** Record keys inside the profile bucket. */
export const recordKeys = {
  shard: (shard: number) => `s.${shard}`,
  profile: (profileId: string) => `p.${profileId}`,
  /** A row of a snapshot as of a run: never written here, read from the snapshot bucket. */
  row: (table: string, run: number, value: string) => `b.${table}.${run}.${encodeKeyValue(value)}`,
  /** Of the profiles that a shard decided about: how many are in each audience. */
  members: (shard: number) => `a.${shard}`,
  link: (keyName: string, value: string) => `k.${keyName}.${encodeKeyValue(value)}`,
  linkOfEncoded: (keyName: string, encodedValue: string) => `k.${keyName}.${encodedValue}`,
  activation: (name: string, id: string) => `o.activation.${name}.${id}`,
  audit: (kind: string, id: string) => `o.audit.${kind}.${id}`,
  dead: (shard: number, sequence: number) => `o.dead.${shard}.${sequence}`,
  deadActivation: (destination: string, id: string) => `o.dead.${destination}.${id}`,
  alarm: (profileId: string, timer: string) => `t.${profileId}.${timer}`,
  /** Where an alarm clock fires: unique per arming, since two firings on one subject would overwrite each other. */
  fired: (shard: number, profileId: string, timer: string, generation: number) =>
    `f.${shard}.${profileId}.${timer}.${generation}`,
  /** What the housekeeper purged, written before it purges. */
  purge: 'h.purge',
  /** A split or merge by hand that was asked for, and the list of those that are not finished. Written by gateways. */
  job: (id: string) => `j.job.${id}`,
  openJobs: 'j.open',
  /** Which target streams the outbox was copied to, and what was purged after copying. */
  copies: 'h.copies',
  /** Who keeps the archive, and how far it has come: the log is not purged beyond. Written by batch processes. */
  archive: 'h.archive',
  /** Who tells profiles of changed rows, and how far that has come. Written by batch processes. */
  changedRows: 'h.rows',
  /** Who writes exports, and which times are dealt with. Written by batch processes. */
  exports: 'h.exports',
  /** Which batch jobs there are, the runs of each, and the logs of its last runs. Written by batch processes. */
  batchJobs: 'h.jobs',
  batchJob: (name: string) => `h.job.${name}`,
  batchLog: (name: string, slot: number) => `h.joblog.${name}.${slot}`,
} as const;

/** Keys inside the snapshot bucket. */
export const snapshotKeys = {
  /** Which run of a table is in force. */
  current: (table: string) => `current.${table}`,
  currentFilter: 'current.*',
  /** The load of a table that is under way. */
  loading: (table: string) => `loading.${table}`,
  page: (table: string, generation: number, page: number) => `page.${table}.${generation}.${page}`,
  pagesFilter: (table: string, generation: number) => `page.${table}.${generation}.*`,
} as const;

/** The row that a record key names; undefined for records of the profile bucket. */
export function rowOfKey(
  key: string,
): { readonly table: string; readonly run: number; readonly encodedValue: string } | undefined {
  if (!key.startsWith('b.')) return undefined;
  const [, table = '', run = '', encodedValue = ''] = key.split('.');
  return { table, run: Number(run), encodedValue };
}

const PROFILE_PREFIX = recordKeys.profile('');

/** The id in a profile's record key; undefined for other records. */
export function profileIdOf(key: string): string | undefined {
  return key.startsWith(PROFILE_PREFIX) ? key.slice(PROFILE_PREFIX.length) : undefined;
}

/** Outbox and fired-timer messages, as filters over the bucket's stream. */
export const OUTBOX_FILTERS = {
  activation: 'o.activation.*.*',
  audit: 'o.audit.*.*',
  dead: 'o.dead.*.*',
  fired: 'f.*.*.*.*',
} as const;

/** A stitching key's value as one subject token: base64url, or `=` and a SHA-256 when longer than 120 bytes. */
export function encodeKeyValue(value: string): string {
  const bytes = Buffer.from(value, 'utf8');
  return bytes.length > KEY_VALUE_BYTES_MAX ? `=${sha256Base64Url(bytes)}` : bytes.toString('base64url');
}
