// What a reader sees of a profile.
import { describe, expect, it } from 'vitest';
import { configOf, DAY, MINUTE, ProfileFold, SECOND, T0 } from './harness.ts';

const CONFIG = configOf(`events: [{ name: all, when: 'true' }]
attributes: [{ name: n, type: counter, windows: [1h, 1d], on: all }]
`);

describe('the view of a profile', () => {
  it('is the JSON of the contract', () => {
    const fold = new ProfileFold(CONFIG);
    fold.send({ keys: { device: 'd1', email: 'A@x' } }, T0);
    fold.send({ keys: { device: 'd1', email: 'b@x' } }, T0 + SECOND);
    expect(fold.view('device', 'd1', T0 + SECOND)).toEqual({
      id: fold.profiles()[0]!.id,
      keys: { device: ['d1'], email: ['a@x', 'b@x'] },
      attributes: { n: { '1h': 2, '1d': 2 } },
      batch: {},
      batchAsOf: null,
      audiences: [],
      journeys: {},
      held: [],
      createdAt: '2026-01-01T00:00:00.000Z',
      updatedAt: '2026-01-01T00:00:01.000Z',
      mergedFrom: [],
      mergedCount: 0,
      configVersion: 1,
    });
  });

  it('counts down by itself', () => {
    const fold = new ProfileFold(CONFIG);
    fold.send({}, T0);
    const at = (ms: number) => fold.view('device', 'd1', ms).attributes.n;
    expect([at(T0 + 59 * MINUTE), at(T0 + 2 * 60 * MINUTE), at(T0 + 2 * DAY)]).toEqual([
      { '1h': 1, '1d': 1 },
      { '1h': 0, '1d': 1 },
      { '1h': 0, '1d': 0 },
    ]);
  });

  it('lists the last 100 merged ids and counts all', () => {
    const fold = new ProfileFold(configOf('', 'keys: [{ name: c, limit: 1 }, { name: d, kind: device }]'));
    fold.send({ keys: { c: '1' } });
    const retired: string[] = [];
    for (let i = 0; i < 120; i++) {
      fold.send({ keys: { d: `d${i}` } }, T0 + i);
      retired.push(fold.holder('d', `d${i}`)!.id);
      fold.send({ keys: { d: `d${i}`, c: '1' } }, T0 + i);
    }
    const view = fold.view('c', '1');
    expect([view.mergedCount, view.mergedFrom]).toEqual([120, retired.slice(20)]);
  });

  it('is JSON through and through', () => {
    const fold = new ProfileFold(CONFIG);
    fold.send({});
    const view = fold.view('device', 'd1');
    expect(JSON.parse(JSON.stringify(view))).toEqual(view);
  });
});
