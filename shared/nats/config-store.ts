// Versions of a segment's config in the bucket `stitchwork_config`. A version is one atomic batch of three keys: its text
// under `<segment>.version.<n>`, all but the text under `<segment>.entry.<n>`, and the pointer `<segment>.current`, which
// holds a copy of what it points to so that watchers need no second request. The first two are written once.
import { nuid } from 'nats';
import { bucketStream, bucketSubject, CONFIG_BUCKET, type SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import { sha256Hex } from '../kernel/hash.ts';
import {
  type AddOutcome,
  CONFIG_BYTES_MAX,
  CONFIG_VERSIONS_KEPT,
  type ConfigCandidate,
  type ConfigEntry,
  type ConfigStore,
  type StoredConfig,
} from '../ports/config-store.ts';
import { type BatchMessage, publishBatch } from './atomic-batch.ts';
import type { NatsDoor } from './connect.ts';
import { readLast } from './direct-get.ts';
import { callApi, getMessage, type RawMessage } from './jetstream-api.ts';
import { followStream } from './stream-reader.ts';

const STREAM = bucketStream(CONFIG_BUCKET);
const ATTEMPTS_MAX = 5;
const ADD_TIMEOUT_MS = 3000;
const PAUSE_MS = 50;
const WRONG_LAST_SEQUENCE = 10071;
/** Another write of the key is on its way to the replicas. */
const IN_FLIGHT = 10164;
const EXPECT = 'Nats-Expected-Last-Subject-Sequence';

/** As it is stored: with the id of the attempt, by which an attempt without an answer is recognised. */
interface Written extends StoredConfig {
  readonly attempt?: string;
}

interface Pointer {
  readonly config: StoredConfig | undefined;
  /** Revision of the key, 0 when it has never been written. */
  readonly revision: number;
}

export function createConfigStore(door: NatsDoor, names: SegmentNames): ConfigStore {
  const versionSubject = (version: number) => bucketSubject(CONFIG_BUCKET, names.configVersionKey(version));
  const entrySubject = (version: number) => bucketSubject(CONFIG_BUCKET, names.configEntryKey(version));
  const pointerSubject = bucketSubject(CONFIG_BUCKET, names.configKey);
  const read = (subject: string) => getMessage(door, STREAM, { last_by_subj: subject }, 'STORE_UNAVAILABLE');

  async function pointer(): Promise<Pointer> {
    const message = await read(pointerSubject);
    return { config: message && storedIn(message), revision: message?.sequence ?? 0 };
  }

  async function version(wanted: number): Promise<Written | undefined> {
    const message = await read(versionSubject(wanted));
    if (message) return storedIn(message);
    const { config } = await pointer();
    return config?.version === wanted ? config : undefined;
  }

  async function entries(): Promise<readonly ConfigEntry[]> {
    const { config } = await pointer();
    if (!config) return [];
    const found = new Map<number, ConfigEntry>([[config.version, entryOf(config)]]);
    const oldest = Math.max(1, config.version - CONFIG_VERSIONS_KEPT + 1);
    const numbers = Array.from({ length: config.version - oldest }, (_, index) => oldest + index);
    const answer = await readLast(door, STREAM, numbers.map(entrySubject), (_subject, _sequence, data) => {
      if (data.length === 0) return;
      const entry = JSON.parse(Buffer.from(data).toString('utf8')) as ConfigEntry;
      found.set(entry.version, entry);
    });
    if (answer !== 'ok') throw new StitchworkError('STORE_UNAVAILABLE', `${STREAM}: ${answer}`);
    // A replica may lag behind, and a version of an older form has no entry of its own.
    for (const missing of numbers.filter((number) => !found.has(number))) {
      const stored = await version(missing);
      if (stored) found.set(missing, entryOf(stored));
    }
    return [...found.values()].sort((a, b) => b.version - a.version);
  }

  async function add(candidate: ConfigCandidate, after: number): Promise<AddOutcome> {
    assertSize(candidate.yaml);
    const attempt = nuid.next();
    const config = { ...candidate, version: after + 1, textDigest: sha256Hex(candidate.yaml) };
    const written: Written = { ...config, attempt };
    let reason = 'others apply at the same time';
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
      const before = await pointer();
      const inForce = before.config?.version ?? 0;
      if (inForce > after && (await version(after + 1))?.attempt === attempt)
        return { kind: 'added', config };
      if (inForce !== after) return { kind: 'conflict', version: inForce };
      const messages: BatchMessage[] = [
        messageOf(versionSubject(config.version), written, 0),
        messageOf(entrySubject(config.version), entryOf(config), 0),
        messageOf(pointerSubject, written, before.revision),
      ];
      const answer = await publishBatch(door, messages, ADD_TIMEOUT_MS);
      if (answer.kind === 'stored') {
        await forget(config.version - CONFIG_VERSIONS_KEPT);
        return { kind: 'added', config };
      }
      reason = answer.kind === 'none' ? answer.reason : answer.description;
      const isConflict =
        answer.kind === 'error' && (answer.errCode === WRONG_LAST_SEQUENCE || answer.errCode === IN_FLIGHT);
      if (answer.kind === 'error' && !isConflict && answer.status !== 503) break;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    throw new StitchworkError('STORE_UNAVAILABLE', `the config could not be stored: ${reason}`);
  }

  /** Removes a version that is beyond what is kept; what a failure leaves is found by nobody. */
  async function forget(old: number): Promise<void> {
    if (old < 1) return;
    for (const filter of [versionSubject(old), entrySubject(old)])
      await callApi(door, `STREAM.PURGE.${STREAM}`, { filter });
  }

  return {
    async current() {
      const { config } = await pointer();
      return config && plain(config);
    },
    version: async (wanted) => {
      const inForce = (await pointer()).config;
      if (!inForce || wanted > inForce.version || wanted <= inForce.version - CONFIG_VERSIONS_KEPT)
        return undefined;
      const stored = inForce.version === wanted ? inForce : await version(wanted);
      return stored && plain(stored);
    },
    entries,
    add,
    watch(callback) {
      const stop = new AbortController();
      void (async () => {
        const options = { filter: pointerSubject, fromSequence: 1 };
        for await (const message of followStream(door, STREAM, options, stop.signal))
          if (message.payload.length > 0) callback(plain(readStored(message.payload, message.timeMs)));
      })();
      return () => stop.abort();
    },
  };
}

function assertSize(yaml: string): void {
  const bytes = Buffer.byteLength(yaml);
  if (bytes <= CONFIG_BYTES_MAX) return;
  throw new StitchworkError(
    'INVALID_CONFIG',
    `the config has ${bytes} bytes, more than ${CONFIG_BYTES_MAX} are not kept`,
  );
}

function messageOf(subject: string, value: object, expect: number): BatchMessage {
  return { subject, payload: Buffer.from(JSON.stringify(value)), headers: [[EXPECT, String(expect)]] };
}

function storedIn({ data, timeMs }: RawMessage): Written | undefined {
  return data.length === 0 ? undefined : readStored(data, timeMs);
}

/** The first form of a version had its number, digest and text alone. */
function readStored(data: Uint8Array, timeMs: number): Written {
  const stored = JSON.parse(Buffer.from(data).toString('utf8')) as Partial<Written> &
    Pick<StoredConfig, 'version' | 'digest' | 'yaml'>;
  return {
    ...stored,
    textDigest: stored.textDigest ?? sha256Hex(stored.yaml),
    at: stored.at ?? new Date(timeMs).toISOString(),
    by: stored.by ?? 'unknown',
    note: stored.note ?? null,
    rollbackOf: stored.rollbackOf ?? null,
  };
}

function plain({ attempt: _, ...config }: Written): StoredConfig {
  return config;
}

/** A version without its text. */
function entryOf({ version, digest, textDigest, at, by, note, rollbackOf }: StoredConfig): ConfigEntry {
  return { version, digest, textDigest, at, by, note, rollbackOf };
}
