// Two configs over the same events: which profiles would join or part, against partitions worked out by hand.
import { describe, expect, it } from 'vitest';
import { compareStitching, type LoggedEvent } from '../../../actors/profile/compare-stitching.ts';
import { configOf, eventOf, T0 } from './harness.ts';

const configWith = (...keys: readonly string[]) =>
  configOf('', `keys:\n${keys.map((key) => `    - ${key}`).join('\n')}`);
const CUSTOMER = '{ name: customer_id, limit: 1 }';
const EMAIL = '{ name: email, limit: 5 }';
const DEVICE = '{ name: device, kind: device, limit: 100 }';
const OBSERVED_EMAIL = '{ name: email, observe_only: true }';

const logged = (...keys: readonly Readonly<Record<string, string>>[]): readonly LoggedEvent[] =>
  keys.map((sent, index) => ({ event: eventOf({ keys: sent }), nowMs: T0 + index }));
const compare = (
  before: ReturnType<typeof configWith>,
  after: ReturnType<typeof configWith>,
  events: readonly LoggedEvent[],
) => compareStitching(before, after, events, async () => {});

/** A device each, and then two share an e-mail address. */
const EVENTS = logged(
  { device: 'd1' },
  { device: 'd2' },
  { device: 'd3' },
  { device: 'd1', email: 'a@x.org' },
  { device: 'd2', email: 'a@x.org' },
);

describe('stitching by two configs', () => {
  it('is the same for the same config', async () => {
    const config = configWith(CUSTOMER, EMAIL, DEVICE);
    expect(await compare(config, config, EVENTS)).toEqual({
      events: 5,
      profiles: { before: 2, after: 2 },
      join: { count: 0, examples: [] },
      part: { count: 0, examples: [] },
      nobody: { anyMore: 0, noMore: 0 },
    });
  });

  it('tells which would join when a key begins to join, and which would part when it ends', async () => {
    const with_ = configWith(CUSTOMER, EMAIL, DEVICE);
    const without = configWith(CUSTOMER, OBSERVED_EMAIL, DEVICE);
    const regrouping = {
      whole: { events: 4, keys: { device: ['d1', 'd2'], email: ['a@x.org'] } },
      parts: [
        { events: 2, keys: { device: ['d1'], email: ['a@x.org'] } },
        { events: 2, keys: { device: ['d2'], email: ['a@x.org'] } },
      ],
      partCount: 2,
    };
    const joining = await compare(without, with_, EVENTS);
    expect(joining.profiles).toEqual({ before: 3, after: 2 });
    expect(joining.join.count).toBe(1);
    expect(joining.join.examples[0]?.partCount).toBe(2);
    expect(joining.part.count).toBe(0);
    const parting = await compare(with_, without, EVENTS);
    expect(parting.join.count).toBe(0);
    expect(parting.part).toEqual({ count: 1, examples: [regrouping] });
  });

  it('counts events that identify nobody any more, or no more nobody', async () => {
    const config = configWith(CUSTOMER, EMAIL, DEVICE);
    const strict = configOf('', `keys:\n    - ${CUSTOMER}\n    - ${EMAIL}\n    - ${DEVICE}\n  invalid: [d3]`);
    expect((await compare(config, strict, EVENTS)).nobody).toEqual({ anyMore: 1, noMore: 0 });
    expect((await compare(strict, config, EVENTS)).nobody).toEqual({ anyMore: 0, noMore: 1 });
  });

  it('shows at most twenty, and counts all', async () => {
    const pairs = Array.from({ length: 30 }, (_, i) => [
      { device: `a${i}`, email: `${i}@x.org` },
      { device: `b${i}`, email: `${i}@x.org` },
    ]).flat();
    const found = await compare(
      configWith(OBSERVED_EMAIL, DEVICE),
      configWith(EMAIL, DEVICE),
      logged(...pairs),
    );
    expect(found.join.count).toBe(30);
    expect(found.join.examples).toHaveLength(20);
  });
});
