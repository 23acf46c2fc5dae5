// The in-memory ports on their own: what the contract suites do not ask of them because it only happens when it goes wrong.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isStitchworkError } from '../../shared/kernel/errors.ts';
import { type SimPorts, simPorts } from './ports.ts';
import { SimProcess, SimServer } from './process.ts';
import { SimStore } from './store.ts';
import { simRecordStore } from './store-port.ts';
import { World } from './world.ts';

const bytes = (text: string) => Buffer.from(text);
let ports: SimPorts;

beforeEach(() => {
  ports = simPorts();
});
afterEach(() => ports.close());

describe('record store', () => {
  test('a batch is all or nothing, and a conflict names the message in its way', async () => {
    const { store } = ports;
    const first = await store.commit([
      { kind: 'put', key: 'p.1', value: bytes('a'), expect: 0 },
      { kind: 'append', key: 'o.audit.x.1', value: bytes('{}') },
    ]);
    expect(first).toEqual({ kind: 'committed', revisions: [1, 2] });
    const second = await store.commit([
      { kind: 'put', key: 'p.2', value: bytes('b'), expect: 0 },
      { kind: 'put', key: 'p.1', value: bytes('b'), expect: 0 },
    ]);
    expect(second).toEqual({ kind: 'conflict', sequence: 1 });
    expect(await store.keyAt(1)).toBe('p.1');
    const found = await store.read(['p.1', 'p.2'], 'leader');
    expect(found.get('p.2')).toEqual({ key: 'p.2', value: null, revision: 0 });
  });

  test('a lost reply is unknown, and the same writes meet themselves', async () => {
    const { store, world } = ports;
    world.faults = { ...world.faults, commitReplyLost: 1 };
    const writes = [{ kind: 'put', key: 'p.1', value: bytes('a'), expect: 0 }] as const;
    expect(await store.commit(writes)).toMatchObject({ kind: 'unknown' });
    world.faults = { ...world.faults, commitReplyLost: 0 };
    expect(await store.commit(writes)).toEqual({ kind: 'conflict', sequence: 1 });
  });

  test('a delayed commit is void when its expectation has been overtaken', async () => {
    const { store, world, simStore } = ports;
    world.faults = { ...world.faults, commitDelayed: 1 };
    const late = await store.commit([{ kind: 'put', key: 'p.1', value: bytes('late'), expect: 0 }]);
    expect(late).toMatchObject({ kind: 'unknown' });
    world.faults = { ...world.faults, commitDelayed: 0 };
    await store.commit([{ kind: 'put', key: 'p.1', value: bytes('now'), expect: 0 }]);
    await expect.poll(() => world.marks.size, { timeout: 8000 }).toBeGreaterThan(0);
    expect([...world.marks.keys()]).toEqual([expect.stringMatching(/delayed commit/)]);
    expect(simStore.keys('p.')).toEqual(['p.1']);
    expect(simStore.lastSequence).toBe(1);
  });

  test('nothing is read while the server is down', async () => {
    ports.server.restart(5000);
    const error = await ports.store.read(['p.1'], 'leader').catch((thrown: unknown) => thrown);
    expect(isStitchworkError(error, 'STORE_UNAVAILABLE')).toBe(true);
  });

  test('a commit torn by a kill is rolled forward whole, timers inside, or forgotten', async () => {
    let inside = 0;
    let forgotten = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const world = new World(seed);
      const server = new SimServer(world);
      const sim = new SimStore(server);
      const store = simRecordStore(sim, new SimProcess(server, 'client'));
      const alarm = { kind: 'schedule', key: 't.1.x', target: 'f.0.1.x.1', value: bytes('{}') } as const;
      sim.apply('setup', [{ ...alarm, atMs: world.nowMs + 10 }]);
      sim.tearNextCommitMs = 40;
      void store.commit([
        { kind: 'put', key: 'p.1', value: bytes('a'), expect: 0 },
        { kind: 'put', key: 'p.2', value: bytes('a'), expect: 0 },
      ]);
      await world.run(() => false, world.nowMs + 1000);
      const [one, two] = [sim.latest('p.1'), sim.latest('p.2')];
      expect(one === undefined).toBe(two === undefined);
      if (!one || !two) forgotten++;
      else if (two.sequence - one.sequence > 1) inside++;
    }
    expect(inside).toBeGreaterThan(0);
    expect(forgotten).toBeGreaterThan(0);
  });
});

test('an appender whose reply is lost stores once', async () => {
  const { world, simLog } = ports;
  const appender = ports.appender();
  world.faults = { ...world.faults, appendRepeated: 0.7 };
  for (let i = 0; i < 5; i++) {
    const outcome = await appender.append([{ shard: i % 2, source: 'ingest', payload: bytes(`${i}`) }]);
    expect(['stored', 'unknown']).toContain(outcome.kind);
  }
  expect(simLog.lastSequence).toBe(5);
}, 30_000);

test('a reader survives a restart: each message once, in order', async () => {
  const { log, simLog, server } = ports;
  const seen: number[] = [];
  const reader = log.open(0, 0, () => seen.push(...reader.take(100).map(({ sequence }) => sequence)));
  const append = () => simLog.append([{ shard: 0, source: 'ingest', payload: bytes('x') }]);
  for (let i = 0; i < 20; i++) append();
  server.restart(20);
  for (let i = 0; i < 20; i++) append();
  await expect.poll(() => seen.length, { timeout: 5000 }).toBe(40);
  expect(seen).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
  reader.close();
});

test('a member that is paused is silent, one that crashed is gone', async () => {
  const [asker, other] = [ports.membership(), ports.membership()];
  const report = (id: string) => () => ({
    id,
    startedAtMs: 0,
    shards: [],
    halted: [],
    lag: {},
    lastCommitAtMs: {},
    configVersion: 1,
  });
  await asker.join('a', report('a'));
  await other.join('b', report('b'));
  expect([...(await asker.members())].sort()).toEqual(['a', 'b']);
  expect(await asker.probe('b', 200)).toMatchObject({ kind: 'alive', report: { id: 'b' } });
  other.process.pause();
  expect(await asker.probe('b', 100)).toEqual({ kind: 'silent' });
  other.process.crash();
  expect(await asker.probe('b', 100)).toEqual({ kind: 'gone' });
  await expect.poll(() => asker.members(), { timeout: 5000 }).toEqual(['a']);
});
