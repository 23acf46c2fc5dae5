// The outbox is kept until every copy has it: a stalled copy, a full target and a lost target lose nothing silently.
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeTopology, ensureTopology } from '../../shared/nats/topology.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually } from '../support/segment.ts';
import { RIG_SHARDS, Rig } from './rig.ts';

let server: TestServer;
let rig: Rig;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  rig = await Rig.open(server.url);
});
afterEach(() => rig.close());

const outbox = () => rig.count(rig.names.profilesStream, rig.names.recordSubject('o.activation.*.*'));
const copied = () => rig.count(rig.names.activationsStream);

/** Lets the worker send `count` activations, in messages of ten. */
async function send(count: number): Promise<void> {
  let shard = 0;
  for (let sent = 0; sent < count; sent += 10) {
    shard = (shard + 1) % RIG_SHARDS;
    expect(await rig.append(shard, { send: 10 })).toEqual({ kind: 'stored' });
  }
  const { lastSequence } = await rig.log.state();
  await eventually('all is applied', async () => (await rig.applied(shard)) === lastSequence);
}

describe('the outbox', () => {
  it('is purged up to what was copied, and no further', async () => {
    await rig.startWorker();
    await send(100);
    await eventually('all is copied', async () => (await copied()) === 100);
    const housekeeper = rig.housekeeper();
    await housekeeper.round();
    expect(await outbox()).toBe(0);
    expect(await copied()).toBe(100);
    expect(rig.toldOf('outboxPurged')).toHaveLength(1);
    await housekeeper.round();
    expect(rig.toldOf('outboxPurged')).toHaveLength(1);
  });

  it('survives a copy that stands still, which is then restarted', async () => {
    await rig.startWorker();
    await send(50);
    await eventually('the first are copied', async () => (await copied()) === 50);
    await rig.updateStream(rig.names.activationsStream, { sources: [] });
    await send(100);
    const housekeeper = rig.housekeeper();
    // The first look only suspects it; it purges what was copied and leaves the rest.
    await housekeeper.round();
    expect(await outbox()).toBe(100);
    expect(await copied()).toBe(50);
    expect(rig.toldOf('copyRestarted')).toEqual([]);
    await housekeeper.round();
    expect(rig.toldOf('copyRestarted')).toEqual([['activations', expect.any(String)]]);
    await eventually('the rest is copied', async () => (await copied()) === 150);
    await housekeeper.round();
    expect(await outbox()).toBe(0);
    expect(new Set(await activationsAt()).size).toBe(150);
  });

  it('survives a target that is full', async () => {
    await rig.startWorker();
    await send(20);
    await eventually('the first are copied', async () => (await copied()) === 20);
    await rig.updateStream(rig.names.activationsStream, { discard: 'new', max_msgs: 60 });
    await send(100);
    await eventually('the target is full', async () => (await copied()) === 60);
    const housekeeper = rig.housekeeper();
    for (let round = 0; round < 5; round++) await housekeeper.round();
    expect(await outbox()).toBe(60);
    await rig.updateStream(rig.names.activationsStream, { discard: 'old', max_msgs: -1 });
    await eventually('all is copied', async () => {
      await housekeeper.round();
      return (await copied()) === 120;
    });
    await eventually('all is purged', async () => {
      await housekeeper.round();
      return (await outbox()) === 0;
    });
    expect(new Set(await activationsAt()).size).toBe(120);
  });

  it('of a target that was deleted and made anew: it is told up to where the copy is lost', async () => {
    await rig.startWorker();
    await send(50);
    await eventually('the first are copied', async () => (await copied()) === 50);
    const housekeeper = rig.housekeeper();
    await housekeeper.round();
    const lostUpTo = (await rig.copies.states()).find(({ name }) => name === 'activations')!.copiedTo;
    await rig.deleteStream(rig.names.activationsStream);
    await ensureTopology(rig.door, describeTopology(rig.names, { shards: RIG_SHARDS }));
    await send(30);
    await housekeeper.round();
    expect(rig.toldOf('targetRebuilt')).toEqual([['activations', lostUpTo]]);
    await eventually('what came later is copied', async () => (await copied()) === 30);
    await housekeeper.round();
    await housekeeper.round();
    expect(rig.toldOf('targetRebuilt')).toHaveLength(1);
    expect(await outbox()).toBe(0);
  });

  it('is not purged at all while nothing is known to be copied', async () => {
    await rig.startWorker();
    await rig.updateStream(rig.names.activationsStream, { sources: [] });
    await send(10);
    const housekeeper = rig.housekeeper();
    await housekeeper.round();
    expect(await outbox()).toBe(10);
    expect(rig.toldOf('outboxPurged')).toEqual([]);
  });
});

/** Bucket sequences of what the target holds: a copy made twice would show here. */
async function activationsAt(): Promise<string[]> {
  const manager = await jetstreamManager(rig.door.nc);
  const { state } = await manager.streams.info(rig.names.activationsStream);
  const origins: string[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage(rig.names.activationsStream, { seq });
    origins.push(message?.header.get('Nats-Stream-Source').split(' ')[1] ?? '');
  }
  return origins;
}
