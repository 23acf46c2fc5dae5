// A stream that would join very many ids into one profile: the profile stays small, every decision cheap, and what was
// refused or let go is told.
import { describe, expect, it } from 'vitest';
import { encodeRecord } from '../../../actors/profile/record-codec.ts';
import type { Sent } from '../../support/fold.ts';
import { configOf, ProfileFold, SECOND, T0 } from './harness.ts';

const IDS = 20_000;
const MAX_KEYS = 200;

const foldWith = (lines: string) =>
  new ProfileFold(
    configOf(
      `events: [{ name: viewed, when: 'event.name == "Viewed"' }]
attributes: [{ name: views, type: counter, total: true, on: viewed }]`,
      `keys:
    - { name: customer, limit: 1 }
    - { name: email }
    - { name: device, kind: device }
${lines}`,
    ),
    { throughCodec: false },
  );

/** One hub and ever new devices: each event would add one more id to one profile. */
function flood(fold: ProfileFold): { readonly writesMax: number; readonly slowestMs: number } {
  let writesMax = 0;
  let slowestMs = 0;
  for (let i = 0; i < IDS; i++) {
    const startMs = performance.now();
    const sent: Sent = fold.send({ keys: { email: 'hub@x', device: `d${i}` } }, T0 + i * SECOND);
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
    if (sent.kind === 'applied') writesMax = Math.max(writesMax, sent.apply.writes.size);
  }
  return { writesMax, slowestMs };
}

describe('one hub and 20,000 devices', () => {
  it.each(['refuse', 'evict_oldest'])(
    '%s: the profile keeps its size, and every event counts',
    (rule) => {
      const fold = foldWith(`  on_max_keys: ${rule}`);
      const { writesMax, slowestMs } = flood(fold);
      const hub = fold.holder('email', 'hub@x')!;
      const keys = Object.values(hub.keys).reduce((sum, held) => sum + held.length, 0);
      expect(keys).toBe(MAX_KEYS);
      expect(encodeRecord('p.hub', hub).length).toBeLessThan(80_000);
      expect(writesMax).toBeLessThanOrEqual(4);
      // A bound that only something quadratic breaks: the usual event takes a fraction of a millisecond.
      expect(slowestMs).toBeLessThan(1000);
      expect(fold.view('email', 'hub@x').attributes.views).toBe(IDS);
      const told = fold.facts(rule === 'refuse' ? 'key_demoted' : 'key_evicted');
      expect(told).toHaveLength(IDS - (MAX_KEYS - 1));
      expect(new Set(told.map(({ reason }) => reason))).toEqual(new Set(['max_keys']));
    },
    60_000,
  );

  it('a chain of pairs joins up to the limit and no further', () => {
    const fold = foldWith('  max_keys_per_profile: 20');
    for (let i = 0; i < 2000; i++) {
      fold.send({ keys: { email: `e${i}`, device: `d${i}` } }, T0);
      fold.send({ keys: { email: `e${i + 1}`, device: `d${i}` } }, T0);
    }
    const sizes = fold
      .profiles()
      .map((profile) => Object.values(profile.keys).reduce((sum, held) => sum + held.length, 0));
    expect(Math.max(...sizes)).toBe(20);
    expect(fold.contradictions()).toEqual([]);
  });
});
