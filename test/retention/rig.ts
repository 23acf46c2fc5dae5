// A segment on a real nats-server with workers and a housekeeper in this process, all over the real adapters.
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import type { WorkerOptions } from '../../actors/runtime/options.ts';
import { createWorker, type Worker } from '../../actors/runtime/worker.ts';
import { Housekeeper, type HousekeeperOptions } from '../../infra/housekeeper.ts';
import type { Actor } from '../../shared/contract/actor.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import {
  decodeShardRecord,
  encodeShardRecord,
  type ShardRecord,
  UNCLAIMED,
} from '../../shared/contract/shard-record.ts';
import { systemClock } from '../../shared/kernel/clock.ts';
import { systemRandom } from '../../shared/kernel/random.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { createMembership } from '../../shared/nats/membership.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { readStream } from '../../shared/nats/stream-reader.ts';
import type { TopologyOptions } from '../../shared/nats/topology.ts';
import type { AppendOutcome, EventLogAppender, EventLogReader } from '../../shared/ports/event-log.ts';
import type { OutboxCopies } from '../../shared/ports/outbox-copies.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import { recordingTelemetry, type Told } from '../runtime/fakes.ts';
import { type Note, noteActor } from '../runtime/note-actor.ts';
import { eventually, makeSegment } from '../support/segment.ts';

export const RIG_SHARDS = 4;

export class Rig {
  readonly door: NatsDoor;
  readonly names: SegmentNames;
  readonly store: RecordStore;
  readonly log: EventLogReader;
  readonly copies: OutboxCopies;
  readonly appender: EventLogAppender;
  /** What the workers and the housekeepers told. */
  readonly told: Told[];
  readonly #telemetry: ReturnType<typeof recordingTelemetry>;
  readonly #workers: Worker[] = [];
  #started = 0;
  #release = () => {};
  #held: Promise<void> = Promise.resolve();

  constructor(door: NatsDoor, names: SegmentNames) {
    this.door = door;
    this.names = names;
    const store = createRecordStore(door, names);
    this.store = { ...store, commit: (writes) => this.#held.then(() => store.commit(writes)) };
    this.log = createEventLogReader(door, names);
    this.copies = createOutboxCopies(door, names);
    this.appender = createEventLogAppender(door, names);
    this.#telemetry = recordingTelemetry();
    this.told = this.#telemetry.told;
  }

  static async open(url: string, options: Partial<TopologyOptions> = {}): Promise<Rig> {
    const { door, names } = await makeSegment(url, { shards: RIG_SHARDS, ...options });
    return new Rig(door, names);
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    await this.appender.close();
    await this.door.close();
  }

  async startWorker(options: Partial<WorkerOptions> = {}, actor: Actor = noteActor()): Promise<Worker> {
    const worker = createWorker(
      {
        store: this.store,
        log: this.log,
        membership: createMembership(this.door, this.names),
        clock: systemClock,
        random: systemRandom,
        telemetry: this.#telemetry.telemetry,
        replies: { send: () => {} },
        actor,
      },
      {
        segment: this.names.segment,
        workerId: `worker-${++this.#started}`,
        shards: RIG_SHARDS,
        haltedRetryMs: 200,
        ...options,
      },
    );
    this.#workers.push(worker);
    await worker.start();
    return worker;
  }

  /** A housekeeper whose rounds the test plays; every round purges. */
  housekeeper(options: Partial<HousekeeperOptions> = {}): Housekeeper {
    const { store, log, copies } = this;
    const { told } = this;
    const tell =
      (name: string) =>
      (...detail: unknown[]) =>
        void told.push({ name, detail });
    const telemetry = {
      copyState: tell('copyState'),
      copyRestarted: tell('copyRestarted'),
      targetRebuilt: tell('targetRebuilt'),
      outboxPurged: tell('outboxPurged'),
      logPurged: tell('logPurged'),
      logUsage: tell('logUsage'),
      failed: tell('failed'),
    };
    return new Housekeeper(
      { store, log, copies, clock: systemClock, telemetry, onDuty: () => true },
      { shards: RIG_SHARDS, purgeIntervalMs: 0, ...options },
    );
  }

  append(shard: number, note: Note, padding = 0): Promise<AppendOutcome> {
    const payload = Buffer.from(JSON.stringify(note) + ' '.repeat(padding));
    return this.appender.append([{ shard, source: 'ingest', payload }]);
  }

  /** Which messages have been applied to a record, in order. */
  async seen(name: string): Promise<readonly number[]> {
    const key = `p.${name}`;
    const value = (await this.store.read([key], 'leader')).get(key)?.value;
    return value ? (JSON.parse(Buffer.from(value).toString()) as { seen: number[] }).seen : [];
  }

  async shard(shard: number): Promise<{ record: ShardRecord; revision: number }> {
    const key = `s.${shard}`;
    const found = (await this.store.read([key], 'leader')).get(key);
    const record = found?.value ? decodeShardRecord(found.value) : UNCLAIMED;
    return { record, revision: found?.revision ?? 0 };
  }

  /** Changes a checkpoint as an operator's restore might. */
  async rewriteShard(shard: number, change: Partial<ShardRecord>): Promise<void> {
    const { record, revision } = await this.shard(shard);
    const value = encodeShardRecord({ ...record, ...change });
    const outcome = await this.store.commit([{ kind: 'put', key: `s.${shard}`, value, expect: revision }]);
    if (outcome.kind !== 'committed') throw new Error(outcome.kind);
  }

  async applied(shard: number): Promise<number> {
    return (await this.shard(shard)).record.seq;
  }

  /** Ids of what a stream holds, or the outbox of the bucket. */
  async count(stream: string, filter?: string): Promise<number> {
    let count = 0;
    for await (const _ of readStream(this.door, stream, filter === undefined ? {} : { filter })) count++;
    return count;
  }

  async updateStream(stream: string, change: Partial<StreamConfig> & { sources?: [] }): Promise<void> {
    const manager = await jetstreamManager(this.door.nc);
    const { config } = await manager.streams.info(stream);
    await manager.streams.update(stream, { ...config, ...change });
  }

  async deleteStream(stream: string): Promise<void> {
    await (await jetstreamManager(this.door.nc)).streams.delete(stream);
  }

  async purgeStream(stream: string, upTo: number): Promise<void> {
    await (await jetstreamManager(this.door.nc)).streams.purge(stream, { seq: upTo + 1 });
  }

  /** Commits wait until they are released. */
  holdCommits(): void {
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  releaseCommits(): void {
    this.#release();
  }

  toldOf(name: string): readonly unknown[] {
    return this.told.filter((entry) => entry.name === name).map(({ detail }) => detail);
  }

  async untilApplied(name: string, sequences: readonly number[]): Promise<void> {
    await eventually(
      `${name} has ${sequences}`,
      async () => (await this.seen(name)).join() === sequences.join(),
    );
  }
}
