// The cache of committed records: a bound on memory, and never an older state over a newer one.
import { describe, expect, it } from 'vitest';
import { DamagedRecord, decodeOrMark, loadResidents, Residents } from '../../actors/runtime/residents.ts';
import { FakeStore } from './fakes.ts';
import { noteActor } from './note-actor.ts';

const OVERHEAD = 256;
const resident = (revision: number, bytes = 1000) => ({
  state: { revision },
  revision,
  bytes: new Uint8Array(bytes),
});
const actor = noteActor();
const residentsOf = (bytesMax: number) =>
  new Residents(bytesMax, (key, bytes) => decodeOrMark(actor, key, bytes));

describe('residents', () => {
  it('stay within their bound, what was not used of late going first', () => {
    const residents = residentsOf(10 * (1000 + OVERHEAD));
    for (let i = 0; i < 11; i++) residents.put(`p.${i}`, resident(i + 1));
    residents.trim();
    expect(residents.measure()).toEqual({ count: 10, bytes: 10 * (1000 + OVERHEAD), evicted: 1 });
    residents.get('p.1');
    for (let i = 11; i < 16; i++) residents.put(`p.${i}`, resident(i + 1));
    residents.trim();
    expect(residents.measure()).toEqual({ count: 10, bytes: 10 * (1000 + OVERHEAD), evicted: 5 });
    expect(residents.get('p.1')).toBeDefined();
    expect(residents.get('p.2')).toBeUndefined();
    expect(residents.measure().evicted).toBe(0);
  });

  it('count what is replaced or dropped only once', () => {
    const residents = residentsOf(1e9);
    residents.put('p.a', resident(1, 100));
    residents.put('p.a', resident(2, 700));
    expect(residents.measure()).toMatchObject({ count: 1, bytes: 700 + OVERHEAD });
    residents.drop('p.a');
    residents.drop('p.a');
    expect(residents.measure()).toMatchObject({ count: 0, bytes: 0 });
  });

  it('count absent records too', () => {
    const residents = residentsOf(3 * OVERHEAD);
    for (let i = 0; i < 9; i++) residents.put(`p.${i}`, { state: null, revision: 0, bytes: null });
    residents.trim();
    expect(residents.measure().count).toBe(3);
  });

  it('do not go back to an older revision', () => {
    const residents = residentsOf(1e9);
    residents.put('p.a', resident(5));
    residents.put('p.a', resident(3));
    expect(residents.get('p.a')?.revision).toBe(5);
  });

  it('are filled by a replica, and set right by the leader', async () => {
    const store = new FakeStore();
    const residents = residentsOf(1e9);
    store.put('p.a', { seen: [1], bytes: 0 });
    store.stale.set('p.a', { key: 'p.a', value: null, revision: 0 });
    await loadResidents(residents, store, ['p.a'], 'replica');
    expect(residents.get('p.a')).toMatchObject({ stored: null, revision: 0 });
    expect(residents.stateOf('p.a')).toBeNull();
    await loadResidents(residents, store, ['p.a'], 'leader');
    expect(residents.stateOf('p.a')).toMatchObject({ seen: [1] });
    expect(residents.get('p.a')?.revision).toBe(1);
  });

  it('are set back by the leader when the record is gone', async () => {
    const store = new FakeStore();
    const residents = residentsOf(1e9);
    residents.put('p.a', resident(9));
    await loadResidents(residents, store, ['p.a'], 'leader');
    expect(residents.get('p.a')).toMatchObject({ stored: null, revision: 0 });
    expect(residents.stateOf('p.a')).toBeNull();
  });

  it('mark a record that cannot be read', async () => {
    const store = new FakeStore();
    const residents = residentsOf(1e9);
    store.put('p.a', Buffer.from('damaged'));
    await loadResidents(residents, store, ['p.a'], 'leader');
    expect(residents.stateOf('p.a')).toBeInstanceOf(DamagedRecord);
  });

  it('are decoded when they are used, and stay the same object until they are trimmed', () => {
    const residents = residentsOf(1e9);
    for (let i = 0; i < 5000; i++) {
      residents.put(`p.${i}`, { state: undefined, revision: 1, bytes: Buffer.from(`{"seen":[${i}]}`) });
      expect(residents.stateOf(`p.${i}`)).toBe(residents.stateOf(`p.${i}`));
    }
    const [first, last] = [residents.stateOf('p.0'), residents.stateOf('p.4999')];
    residents.trim();
    expect(residents.stateOf('p.0')).toEqual(first);
    expect(residents.stateOf('p.0')).not.toBe(first);
    expect(residents.stateOf('p.4999')).toBe(last);
  });
});
