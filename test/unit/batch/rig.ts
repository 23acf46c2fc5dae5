// An archive over ports in memory: a log that tests fill, a store, presences, and a storage that can break at any step.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArchiveTelemetry } from '../../../batch/archive/archive-telemetry.ts';
import { Keeper, type KeeperDeps } from '../../../batch/archive/keeper.ts';
import { createLocalFolder } from '../../../batch/archive/local-folder.ts';
import { loadManifest } from '../../../batch/archive/manifest-store.ts';
import { type Duck, openDuck } from '../../../batch/duck.ts';
import type { EventSource } from '../../../shared/contract/names.ts';
import { seededRandom } from '../../../shared/kernel/random.ts';
import type { ArchiveStorage } from '../../../shared/ports/archive-storage.ts';
import type { LogMessage, LogState } from '../../../shared/ports/event-log.ts';
import type { LogScan } from '../../../shared/ports/log-scan.ts';
import type { Presence } from '../../../shared/ports/presence.ts';
import { FakeStore, JumpClock } from '../../runtime/fakes.ts';

/** Limits that nothing in these tests reaches. */
export const NO_LIMITS = { rowsMax: 1_000_000, bytesMax: 1e9 };
export const HOUR_MS = 3_600_000;
/** The turn of an hour. */
export const T0 = Date.UTC(2026, 10, 23, 10);

export class TestLog implements LogScan {
  createdAt = 'log-1';
  messages: LogMessage[] = [];
  lastSequence = 0;

  append(timeMs: number, envelope: object, source: EventSource = 'ingest', shard = 0): LogMessage {
    const payload = Buffer.from(JSON.stringify(envelope));
    const message = { shard, source, sequence: ++this.lastSequence, timeMs, payload };
    this.messages.push(message);
    return message;
  }

  /** Events one after another, `stepMs` apart. */
  fill(count: number, fromMs = T0, stepMs = 1000): void {
    for (let i = 0; i < count; i++) {
      const n = this.lastSequence + 1;
      this.append(fromMs + i * stepMs, eventOf(n, { timestampMs: fromMs + i * stepMs }), 'ingest', n % 4);
    }
  }

  purge(upTo: number): void {
    this.messages = this.messages.filter(({ sequence }) => sequence > upTo);
  }

  async state(): Promise<LogState> {
    const firstSequence = this.messages[0]?.sequence ?? this.lastSequence + 1;
    const { createdAt, lastSequence } = this;
    return { createdAt, firstSequence, lastSequence, messages: this.messages.length, bytes: 0, bytesMax: -1 };
  }

  async messageAt(sequence: number): Promise<LogMessage | undefined> {
    return this.messages.find((message) => message.sequence === sequence);
  }

  async *scan(from: number, upTo: number, signal: AbortSignal): AsyncIterable<readonly LogMessage[]> {
    for (let next = from; ; ) {
      signal.throwIfAborted();
      const batch = this.messages.filter(({ sequence }) => sequence >= next && sequence <= upTo).slice(0, 7);
      if (batch.length === 0) return;
      next = batch.at(-1)!.sequence + 1;
      yield batch;
    }
  }
}

export function eventOf(n: number, part: object = {}): object {
  const keys = { email: `c${n % 5}@example.com` };
  const event = { messageId: `m-${n}`, name: 'Product Viewed', keys, properties: { n }, ...part };
  return { v: 1, type: 'event', event, config: 'shop@1' };
}

export class TestPresence implements Presence {
  readonly there = new Set<string>();

  answer(id: string): () => void {
    this.there.add(id);
    return () => void this.there.delete(id);
  }

  async ask(id: string): Promise<'there' | 'gone' | 'silent'> {
    return this.there.has(id) ? 'there' : 'gone';
  }
}

export interface Rig {
  readonly folder: string;
  readonly log: TestLog;
  readonly store: FakeStore;
  readonly presence: TestPresence;
  readonly clock: JumpClock;
  readonly storage: ArchiveStorage;
  readonly told: { readonly name: string; readonly detail: readonly unknown[] }[];
  deps(owner: string, part?: Partial<KeeperDeps>): KeeperDeps;
  claim(owner: string, part?: Partial<KeeperDeps>): Promise<Keeper>;
  duck(): Promise<Duck>;
  /** Sequences in the files that the manifest names, in order; every one as often as it is there. */
  archived(): Promise<readonly number[]>;
  close(): Promise<void>;
}

export async function makeRig(): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'stitchwork-archive-'));
  const root = join(folder, 'archive');
  const parts = {
    log: new TestLog(),
    store: new FakeStore(),
    presence: new TestPresence(),
    clock: new JumpClock(),
  };
  const storage = createLocalFolder(root);
  const told: { name: string; detail: readonly unknown[] }[] = [];
  const telemetry = new Proxy({} as ArchiveTelemetry, {
    get:
      (_target, name) =>
      (...detail: unknown[]) =>
        void told.push({ name: String(name), detail }),
  });
  let opened: Promise<Duck> | undefined;
  const duck = () => {
    opened ??= openDuck({ memoryBytes: 500e6, threads: 1, tempFolder: join(folder, 'tmp') });
    return opened;
  };
  const deps = (owner: string, part: Partial<KeeperDeps> = {}): KeeperDeps => ({
    ...parts,
    scan: parts.log,
    storage,
    telemetry,
    duck,
    random: seededRandom(7),
    owner,
    scratch: join(root, '.unfinished', owner),
    ...part,
  });
  return {
    ...parts,
    folder,
    storage,
    told,
    deps,
    duck,
    async claim(owner, part) {
      const keeper = await Keeper.claim(deps(owner, part), new AbortController().signal);
      if (!keeper) throw new Error(`${owner} did not get the archive`);
      return keeper;
    },
    async archived() {
      const { files } = await loadManifest(storage);
      const paths = [...files.keys()].map((name) => `'${storage.pathOf(name)}'`);
      if (paths.length === 0) return [];
      return (await duck()).use(async (connection) => {
        const sql = `SELECT sequence FROM read_parquet([${paths.join(', ')}]) ORDER BY sequence`;
        return (await connection.runAndReadAll(sql)).getRows().map(([sequence]) => Number(sequence));
      });
    },
    async close() {
      (await opened)?.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function numbers(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
}
