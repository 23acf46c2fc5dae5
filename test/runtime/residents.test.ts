// The cache of committed records: a bound on memory, and never an older state over a newer one.
import { describe, expect, it } from 'vitest';
import { DamagedRecord, loadResidents, Residents } from '../../actors/runtime/residents.ts';
import { FakeStore } from './fakes.ts';
import { noteActor } from './note-actor.ts';

const OVERHEAD = 256;
const resident = (revision: number, bytes = 1000) => ({ state: { revision }, revision, bytes });

describe('residents', () => {
  it('stay within their bound, the least recently used going first', () => {
    const residents = new Residents(10 * (1000 + OVERHEAD));
    for (let i = 0; i < 10; i++) residents.put(`p.${i}`, resident(i + 1));
    residents.get('p.0');
    for (let i = 10; i < 15; i++) residents.put(`p.${i}`, resident(i + 1));
    residents.trim();
    expect(residents.measure()).toEqual({ count: 10, bytes: 10 * (1000 + OVERHEAD), evicted: 5 });
    expect(residents.get('p.0')).toBeDefined();
    expect(residents.get('p.1')).toBeUndefined();
    expect(residents.measure().evicted).toBe(0);
  });

  it('count what is replaced or dropped only once', () => {
    const residents = new Residents(1e9);
    residents.put('p.a', resident(1, 100));
    residents.put('p.a', resident(2, 700));
    expect(residents.measure()).toMatchObject({ count: 1, bytes: 700 + OVERHEAD });
    residents.drop('p.a');
    residents.drop('p.a');
    expect(residents.measure()).toMatchObject({ count: 0, bytes: 0 });
  });

  it('count absent records too', () => {
    const residents = new Residents(3 * OVERHEAD);
    for (let i = 0; i < 9; i++) residents.put(`p.${i}`, { state: null, revision: 0, bytes: 0 });
    residents.trim();
    expect(residents.measure().count).toBe(3);
  });

  it('do not go back to an older revision', () => {
    const residents = new Residents(1e9);
    residents.put('p.a', resident(5));
    residents.put('p.a', resident(3));
    expect(residents.get('p.a')?.revision).toBe(5);
  });

  it('are filled by a replica, and set right by the leader', async () => {
    const store = new FakeStore();
    const residents = new Residents(1e9);
    store.put('p.a', { seen: [1], bytes: 0 });
    store.stale.set('p.a', { key: 'p.a', value: null, revision: 0 });
    await loadResidents(residents, store, noteActor(), ['p.a'], 'replica');
    expect(residents.get('p.a')).toMatchObject({ state: null, revision: 0 });
    await loadResidents(residents, store, noteActor(), ['p.a'], 'leader');
    expect(residents.get('p.a')).toMatchObject({ state: { seen: [1] }, revision: 1 });
  });

  it('are set back by the leader when the record is gone', async () => {
    const store = new FakeStore();
    const residents = new Residents(1e9);
    residents.put('p.a', resident(9));
    await loadResidents(residents, store, noteActor(), ['p.a'], 'leader');
    expect(residents.get('p.a')).toMatchObject({ state: null, revision: 0 });
  });

  it('mark a record that cannot be read', async () => {
    const store = new FakeStore();
    const residents = new Residents(1e9);
    store.put('p.a', Buffer.from('damaged'));
    await loadResidents(residents, store, noteActor(), ['p.a'], 'leader');
    expect(residents.get('p.a')?.state).toBeInstanceOf(DamagedRecord);
  });
});
