// What a stream with three copies does that one with a single copy never does, and the contracts of the ports on it. The
// nodes run in this machine's own network: nothing is cut here, followers are stopped for less than an election takes.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ClusterNode, createNatsCluster, type NatsCluster } from '../../infra/cluster/nats-cluster.ts';
import { resolveNatsServer } from '../../infra/nats-server/resolve.ts';
import { segmentNames } from '../../shared/contract/names.ts';
import { createConfigStore } from '../../shared/nats/config-store.ts';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { streamInfo } from '../../shared/nats/jetstream-api.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { describeTopology, diffTopology, ensureTopology } from '../../shared/nats/topology.ts';
import { configStoreContract } from '../contract/config-store.contract.ts';
import { recordStoreContract } from '../contract/record-store.contract.ts';
import { eventually, makeSegment } from '../support/segment.ts';

const HERE = { host: '127.0.0.1', launcher: [] };
const OPTIONS = { eventsBytesMax: 16 * 1024 ** 2, replicas: 3 };
const encoder = new TextEncoder();

let folder: string;
let cluster: NatsCluster;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-cluster-test-'));
  const { path } = await resolveNatsServer();
  cluster = await createNatsCluster({ binary: path, folder, places: [HERE, HERE, HERE] });
  await cluster.start();
}, 60_000);
afterEach(() => {
  for (const node of cluster.nodes) node.signal('SIGCONT');
});
afterAll(async () => {
  await cluster?.kill();
  await rm(folder, { recursive: true, force: true });
});

/** A segment, seen from the node that leads `stream`, and its two other nodes. */
async function onLeaderOf(choose: (names: ReturnType<typeof segmentNames>) => string) {
  const segment = await makeSegment(cluster.url, OPTIONS);
  const stream = choose(segment.names);
  const info = (await streamInfo(segment.door, stream, 'LOG_UNAVAILABLE')) as unknown as {
    cluster: { leader: string };
  };
  const leader = cluster.nodes.find(({ name }) => name === info.cluster.leader)!;
  const door = await connectNats({ url: leader.url, name: 'test' });
  const followers = cluster.nodes.filter((node) => node !== leader);
  const hold = () => followers.forEach((node) => void node.signal('SIGSTOP'));
  const release = () => followers.forEach((node) => void node.signal('SIGCONT'));
  const close = async () => {
    release();
    await door.close();
    await segment.close();
  };
  return { names: segment.names, door, hold, release, close };
}

describe('a commit that is on its way to the replicas', () => {
  it('makes others on the same record wait, then fail on what it wrote', async () => {
    const { names, door, hold, release, close } = await onLeaderOf(({ profilesStream }) => profilesStream);
    try {
      const store = createRecordStore(door, names);
      const put = (value: string) =>
        store.commit([{ kind: 'put', key: 'p.one', value: encoder.encode(value), expect: 0 }]);
      hold();
      const first = put('first');
      // The leader has taken the first in when it answers the second.
      expect(await put('second')).toMatchObject({ kind: 'busy', reason: expect.stringMatching(/^10164/) });
      release();
      const outcome = await first;
      expect(outcome).toMatchObject({ kind: 'committed' });
      const [revision] = outcome.kind === 'committed' ? outcome.revisions : [];
      expect(await put('second')).toEqual({ kind: 'conflict', sequence: revision });
    } finally {
      await close();
    }
  });
});

describe('an append without a quorum', () => {
  it('is not called stored before the replicas have it, and is stored once', {
    timeout: 40_000,
  }, async () => {
    const { names, door, hold, release, close } = await onLeaderOf(({ eventsStream }) => eventsStream);
    const appender = createEventLogAppender(door, names, { deadlineMs: 20_000 });
    try {
      hold();
      let answered = false;
      const message = { shard: 1, source: 'ingest', payload: encoder.encode('{}') } as const;
      const outcome = appender.append([message, message]).finally(() => {
        answered = true;
      });
      // Longer than an attempt: the same batch is sent again while the first is on its way.
      await new Promise((resolve) => setTimeout(resolve, 4500));
      expect(answered).toBe(false);
      release();
      expect(await outcome).toEqual({ kind: 'stored' });
      expect(await createEventLogReader(door, names).state()).toMatchObject({ messages: 2 });
    } finally {
      await appender.close();
      await close();
    }
  });
});

describe('copies', () => {
  let door: NatsDoor;
  beforeAll(async () => {
    // The first of the list is not there.
    door = await connectNats({ url: `nats://127.0.0.1:1, ${cluster.url}`, name: 'test' });
  });
  afterAll(() => door?.close());

  it('are never taken away by a role that asks for fewer', async () => {
    const { names, close } = await makeSegment(cluster.url, OPTIONS);
    const fewer = describeTopology(names, { shards: 8, ...OPTIONS, replicas: 1 });
    await ensureTopology(door, fewer);
    const info = await streamInfo(door, names.profilesStream, 'LOG_UNAVAILABLE');
    expect(info?.config.num_replicas).toBe(3);
    const hourNs = 3_600e9;
    const drifted = fewer
      .filter(({ name }) => name === names.auditStream)
      .map((spec) => ({ ...spec, config: { ...spec.config, max_age: hourNs } }));
    expect(await ensureTopology(door, drifted)).toEqual([`updated ${names.auditStream}: max_age`]);
    const after = await streamInfo(door, names.auditStream, 'LOG_UNAVAILABLE');
    expect(after?.config).toMatchObject({ num_replicas: 3, max_age: hourNs });
    await close();
  });

  it('are added by a role that asks for more', { timeout: 60_000 }, async () => {
    const { names, close } = await makeSegment(cluster.url, { ...OPTIONS, replicas: 1 });
    const more = describeTopology(names, { shards: 8, ...OPTIONS });
    const done = await ensureTopology(door, more);
    expect(done).toContain(`updated ${names.profilesStream}: num_replicas`);
    expect(await diffTopology(door, more)).toEqual([]);
    await close();
  });

  it('beyond the number of nodes are refused, with what to do', async () => {
    const topology = describeTopology(segmentNames('five'), { shards: 8, ...OPTIONS, replicas: 5 });
    await expect(ensureTopology(door, topology)).rejects.toMatchObject({
      code: 'LOG_UNAVAILABLE',
      message: expect.stringMatching(/to have 5 copies, for which 5 servers .* fewer --replicas/),
    });
  });

  it('can be made while one node is away; while two are, that is said', { timeout: 90_000 }, async () => {
    const topologyOf = (name: string) => describeTopology(segmentNames(name), { shards: 8, ...OPTIONS });
    const [first, second, third] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode];
    const survivor = await connectNats({ url: first.url, name: 'test' });
    await third.stop();
    // The node that left may have led: until another does, it is said that nothing can be made.
    await whenAnswered(() => ensureTopology(survivor, topologyOf('one-away')));
    await second.stop();
    await expect(ensureTopology(survivor, topologyOf('two-away'))).rejects.toMatchObject({
      code: 'LOG_UNAVAILABLE',
    });
    await Promise.all([second.start(), third.start()]);
    await cluster.untilWhole();
    expect(await whenAnswered(() => diffTopology(survivor, topologyOf('one-away')))).toEqual([]);
    await survivor.close();
  });
});

/** Asks again while the cluster says that it cannot answer, as it does until its leaders are elected. */
async function whenAnswered<T>(ask: () => Promise<T>): Promise<T> {
  let answer: { readonly value: T } | undefined;
  const answered = async () => {
    try {
      answer = { value: await ask() };
    } catch (error) {
      expect(error).toMatchObject({ code: 'LOG_UNAVAILABLE' });
    }
    return answer !== undefined;
  };
  await eventually('an answer of the cluster', answered, 40_000);
  return answer!.value;
}

recordStoreContract('a cluster of three', async () => {
  const { door, names, close } = await makeSegment(cluster.url, OPTIONS);
  return {
    store: createRecordStore(door, names),
    log: createEventLogReader(door, names),
    nowMs: () => Date.now(),
    close,
  };
});

configStoreContract('a cluster of three', async () => {
  const { door, names, close } = await makeSegment(cluster.url, OPTIONS);
  const other = await connectNats({ url: cluster.url, name: 'other' });
  return {
    store: createConfigStore(door, names),
    other: createConfigStore(other, names),
    async close() {
      await other.close();
      await close();
    },
  };
});
