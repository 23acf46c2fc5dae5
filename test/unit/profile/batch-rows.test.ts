// Snapshot tables joined into profiles: which row, made of which keys, when, and what a changed row sets off.
import { describe, expect, it } from 'vitest';
import { createProfileActor } from '../../../actors/profile/actor.ts';
import type { CurrentRuns } from '../../../actors/profile/join-batch.ts';
import { encodeKeyValue, recordKeys } from '../../../shared/contract/names.ts';
import { configOf, DAY, HOUR, ProfileFold, T0 } from './harness.ts';

const REST = `attributes:
  - { name: visits, type: counter, total: true, on: visited }
events:
  - { name: visited, when: 'true' }
batch:
  tables:
    - name: crm
      key: email
      join: at_once
      attributes:
        tier: string
        score: { type: number, combine: max }
        spend: { type: number, combine: sum }
        vip: { type: boolean, combine: any }
        blocked: { type: boolean, combine: all }
        first_seen: { type: timestamp, combine: min }
        interests: { type: list, combine: union }
        name: { type: string, combine: oldest }
audiences:
  - { name: likely, when: 'profile.crm.score >= 0.8' }
activations: [{ name: offer, payload: { score: '{{ profile.crm.score }}' } }]
triggers: [{ name: rose, on: { entered: likely }, activate: offer }]
`;
const CONFIG = configOf(REST);

class Joined extends ProfileFold {
  #runs: CurrentRuns = {};
  #made = 0;

  constructor() {
    super(CONFIG);
  }

  /** A run of the table comes into force; rows that are not named are as they were. */
  load(rows: Readonly<Record<string, object | null>>, atMs = T0): void {
    const run = (this.#runs.crm?.run ?? 0) + 1;
    for (const [key, value] of [...this.records]) {
      if (!key.startsWith(`b.crm.${run - 1}.`)) continue;
      this.records.set(key.replace(`b.crm.${run - 1}.`, `b.crm.${run}.`), value);
    }
    for (const [email, values] of Object.entries(rows)) {
      const key = recordKeys.row('crm', run, email);
      if (values) this.records.set(key, { kind: 'row', values });
      else this.records.delete(key);
    }
    this.#runs = { crm: { run, atMs } };
    this.actor = createProfileActor(CONFIG, { shards: 8, configVersion: 1, runs: this.#runs });
  }

  tell(email: string, nowMs = T0, run = this.#runs.crm!.run) {
    const encodedValue = encodeKeyValue(email);
    return this.envelope(
      { v: 1, type: 'row', table: 'crm', run, key: 'email', encodedValue },
      { nowMs, source: 'batch' },
    );
  }

  see(email: string, more: object = {}) {
    this.#made += 1;
    return this.send({ id: `e${this.#made}`, keys: { email, ...more } }, T0);
  }

  crm(email: string) {
    return this.view('email', email).batch.crm;
  }
}

describe('the rows of several keys', () => {
  it("are combined as the config says, and others are the newest key's", () => {
    const fold = new Joined();
    const old = {
      tier: 'Gold',
      score: 0.3,
      spend: 10,
      vip: true,
      blocked: true,
      first_seen: '2020-01-01T00:00:00.000Z',
    };
    const fresh = {
      tier: 'Silver',
      score: 0.2,
      spend: 5.5,
      vip: false,
      blocked: false,
      first_seen: '2021-01-01T00:00:00.000Z',
    };
    fold.load({
      'a@x': { ...old, interests: ['tea', 'yoga'], name: 'Ann' },
      'b@x': { ...fresh, interests: ['yoga', 'bikes'], name: 'Anna' },
    });
    fold.see('a@x', { customer_id: 'c' });
    expect(fold.crm('a@x')).toMatchObject({ ...old, name: 'Ann' });
    fold.see('b@x', { customer_id: 'c' });
    const { snapshotAt: _, interests, ...row } = fold.crm('a@x')!;
    expect(row).toEqual({
      ...{ tier: 'Silver', score: 0.3, spend: 15.5, vip: true, blocked: false, name: 'Ann' },
      first_seen: '2020-01-01T00:00:00.000Z',
    });
    expect([...(interests as string[])].sort()).toEqual(['bikes', 'tea', 'yoga']);
  });

  it('without a row, or with an empty column, do not count', () => {
    const fold = new Joined();
    fold.load({ 'a@x': { tier: 'Gold', spend: 10, score: null }, 'c@x': { tier: 'Iron', score: 0.5 } });
    for (const email of ['a@x', 'b@x', 'c@x']) fold.see(email, { customer_id: 'c' });
    expect(fold.crm('a@x')).toMatchObject({ tier: 'Iron', spend: 10, score: 0.5 });
  });

  it('are those of both when two profiles become one', () => {
    const fold = new Joined();
    fold.load({ 'a@x': { spend: 10 }, 'b@x': { spend: 7 } });
    fold.see('a@x', { device: 'd1' });
    fold.see('b@x', { device: 'd2' });
    expect(fold.crm('a@x')).toMatchObject({ spend: 10 });
    fold.see('a@x', { customer_id: 'c' });
    fold.see('b@x', { customer_id: 'c' });
    expect(fold.crm('a@x')).toMatchObject({ spend: 17 });
  });
});

describe('batchAsOf', () => {
  it('is when the snapshot was made that the answer rests on', () => {
    const fold = new Joined();
    fold.see('a@x');
    expect(fold.view('email', 'a@x').batchAsOf).toBeNull();
    fold.load({ 'a@x': { spend: 1 } }, T0 - DAY);
    fold.see('a@x');
    expect(fold.view('email', 'a@x').batchAsOf).toBe(new Date(T0 - DAY).toISOString());
  });
});

describe('a changed row', () => {
  it('reaches its profile without an event, and sets off what it changes, once', () => {
    const fold = new Joined();
    fold.load({ 'a@x': { score: 0.5 } });
    fold.see('a@x');
    fold.load({ 'a@x': { score: 0.9 } });
    expect(fold.activations()).toEqual([]);
    const before = fold.holder('email', 'a@x')!;
    const told = fold.tell('a@x', T0 + HOUR);
    expect(told).toMatchObject({ kind: 'applied', apply: { guards: [recordKeys.link('email', 'a@x')] } });
    expect(fold.activations()).toMatchObject([{ name: 'offer', payload: { score: 0.9 } }]);
    expect(fold.facts('audience_entered')).toMatchObject([{ audience: 'likely' }]);
    expect(fold.holder('email', 'a@x')).toMatchObject({
      lastEventAtMs: before.lastEventAtMs,
      attributes: before.attributes,
    });
    const again = fold.tell('a@x', T0 + 2 * HOUR);
    expect(again).toMatchObject({ kind: 'applied' });
    expect((again as { apply: { writes: ReadonlyMap<string, unknown> } }).apply.writes.size).toBe(0);
    expect(fold.activations()).toHaveLength(1);
  });

  it('takes an audience away when it falls, or is there no more', () => {
    const fold = new Joined();
    fold.load({ 'a@x': { score: 0.9 }, 'b@x': { score: 0.9 } });
    fold.see('a@x');
    fold.see('b@x');
    fold.load({ 'a@x': { score: 0.1 }, 'b@x': null });
    fold.tell('a@x');
    fold.tell('b@x');
    expect(fold.facts('audience_left')).toHaveLength(2);
    expect(fold.crm('b@x')).toBeUndefined();
  });

  it('of nobody, or of another table, does nothing', () => {
    const fold = new Joined();
    fold.load({ 'a@x': { score: 0.9 } });
    fold.tell('a@x');
    expect(fold.profiles()).toEqual([]);
    fold.see('a@x');
    const more = {
      v: 1,
      type: 'row',
      table: 'gone',
      run: 1,
      key: 'email',
      encodedValue: encodeKeyValue('a@x'),
    } as const;
    expect(fold.envelope(more, { nowMs: T0, source: 'batch' })).toMatchObject({ kind: 'applied' });
  });

  it('of a run that this worker has not heard of waits', () => {
    const fold = new Joined();
    fold.load({ 'a@x': { score: 0.9 } });
    fold.see('a@x');
    expect(fold.tell('a@x', T0, 2)).toMatchObject({ kind: 'waiting', reason: 'run 2 of crm is in force' });
  });
});
