// A run of a job over a real archive in a folder, with profiles as the actor makes them of the same events, and snapshots in
// memory: what a job computes, without a server.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createProfileActor } from '../../../../actors/profile/actor.ts';
import { encodeRecord } from '../../../../actors/profile/record-codec.ts';
import { loadManifest } from '../../../../batch/archive/manifest-store.ts';
import { type Computed, computeJob } from '../../../../batch/jobs/compute-job.ts';
import type { Job } from '../../../../batch/jobs/job-folder.ts';
import { parseSegmentConfig } from '../../../../shared/contract/config/parse.ts';
import type { SegmentConfig } from '../../../../shared/contract/config/segment-config.ts';
import { profileIdOf } from '../../../../shared/contract/names.ts';
import { StitchworkError } from '../../../../shared/kernel/errors.ts';
import type { RowInForce } from '../../../../shared/ports/stored-rows.ts';
import { Fold } from '../../../support/fold.ts';
import { makeRig, NO_LIMITS, type Rig } from '../rig.ts';
import { jobOf, T0 } from './rig.ts';

const LOGGED_MS = T0 + 3_600_000;

export interface TestEvent {
  readonly name: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly atMs: number;
  readonly messageId?: string;
}

export type Rows = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface Ran extends Computed {
  /** By key. */
  readonly table: Rows;
  readonly log: readonly string[];
}

export class ComputeRig {
  readonly config: SegmentConfig;
  /** Throws when the run is another process's by now. */
  confirm: () => Promise<void> = async () => {};
  /** Instead of the position of the archive. */
  through: number | undefined;
  /** Loads that came to their end. */
  loaded = 0;
  /** So many loads find another one under way. */
  conflicts = 0;
  readonly inForce: Record<string, readonly RowInForce[]> = {};
  readonly #rig: Rig;
  readonly #fold: Fold;
  readonly #folder: string;
  #events = 0;

  private constructor(config: SegmentConfig, rig: Rig, folder: string) {
    this.config = config;
    this.#rig = rig;
    this.#folder = folder;
    this.#fold = new Fold(createProfileActor(config, { shards: 4, configVersion: 1, runs: {} }));
  }

  static async open(yaml: string): Promise<ComputeRig> {
    const parsed = parseSegmentConfig(yaml);
    if (parsed.kind === 'invalid') throw new Error(JSON.stringify(parsed.problems));
    const folder = await mkdtemp(join(tmpdir(), 'stitchwork-compute-'));
    return new ComputeRig(parsed.config, await makeRig(), folder);
  }

  add({ atMs, messageId = `m-${this.#events + 1}`, properties = {}, ...event }: TestEvent): void {
    this.#events += 1;
    const whole = { ...event, properties, messageId, timestampMs: atMs, table: undefined };
    // One hour of log time, so that the archive is few files.
    this.#rig.log.append(LOGGED_MS, { v: 1, type: 'event', event: whole }, 'ingest', this.#events % 4);
    this.#fold.event(whole, { nowMs: atMs, shard: this.#events % 4 });
  }

  /** Archives what was added since. */
  async archive(): Promise<void> {
    const keeper = await this.#rig.claim('archiver');
    while ((await keeper.commit(await this.#rig.log.state(), NO_LIMITS)) > 0);
    await keeper.release();
  }

  /** Takes the files of the archive away, as a compaction does with those it has put together. */
  async removeFiles(): Promise<void> {
    const { files } = await loadManifest(this.#rig.storage);
    for (const name of files.keys()) await this.#rig.storage.remove(name);
  }

  async run(
    part: Partial<Job>,
    nowMs: number,
    signal = new AbortController().signal,
    onLog: (text: string) => void = () => {},
  ): Promise<Ran> {
    const job = jobOf('test', part);
    const { position: through } = this.through
      ? { position: this.through }
      : await loadManifest(this.#rig.storage);
    const log: string[] = [];
    const table: Record<string, Readonly<Record<string, unknown>>> = {};
    const times = { dueMs: nowMs, noticedMs: nowMs, startedMs: nowMs };
    const computed = await computeJob(
      {
        snapshots: {
          current: async () => ({}),
          load: async (_table, rows) => {
            if (this.conflicts-- > 0) throw new StitchworkError('CONFLICT', 'another load is under way');
            for await (const { encodedValue, values } of rows)
              table[Buffer.from(encodedValue, 'base64url').toString('utf8')] = values;
            this.loaded += 1;
            return { run: 1, rows: Object.keys(table).length, written: 0, removed: 0 };
          },
        },
        stored: this.#stored(),
        storage: this.#rig.storage,
        scratch: join(this.#folder, 'runs'),
        threads: 2,
        pause: async () => {},
      },
      {
        job,
        open: { run: 1, cause: 'request', missed: 0, ...times, owner: 'a', attempt: 1, through },
        config: this.config,
        signal,
        log(text) {
          log.push(text);
          onLog(text);
        },
        confirm: () => this.confirm(),
      },
    );
    return { ...computed, table, log };
  }

  async close(): Promise<void> {
    await this.#rig.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #stored() {
    const records = [...this.#fold.records].filter(([key]) => profileIdOf(key) !== undefined);
    const stored = records.map(([key, state]) => ({ key, value: encodeRecord(key, state) }));
    const { inForce } = this;
    return {
      profiles: async function* () {
        yield stored;
      },
      rows: async function* (table: string) {
        yield inForce[table] ?? [];
      },
    };
  }
}
