// Links from batch: a dry run tells what happens, rules refuse as they do live, a second run finds nothing to do, and one that
// was killed is ended by the next. The log and the store are a profile actor in memory.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeRecord, type RecordState } from '../../../actors/profile/record-codec.ts';
import { compareSets } from '../../../batch/links/differences.ts';
import { judgeLink } from '../../../batch/links/judge-link.ts';
import type { LinkReport } from '../../../batch/links/link-report.ts';
import { type FoundRow, setOfRow } from '../../../batch/links/link-source.ts';
import { type SendDeps, sendLinks, tryLinks } from '../../../batch/links/send-links.ts';
import { openViews } from '../../../batch/query/open-views.ts';
import type { SegmentConfig } from '../../../shared/contract/config/segment-config.ts';
import type { AuditEntry } from '../../../shared/contract/outbox.ts';
import type { RecordStore } from '../../../shared/ports/record-store.ts';
import { JumpClock } from '../../runtime/fakes.ts';
import { configOf, DAY, MINUTE, ProfileFold, T0 } from '../profile/harness.ts';
import { testViews } from './views-rig.ts';

const NOW = T0 + 30 * DAY;
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'stitchwork-links-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

interface Pair {
  readonly a: string;
  readonly b: string;
  readonly at?: number | undefined;
}

/** `name:value` twice, and when. */
const pair = (a: string, b: string, at?: number): Pair => ({ a, b, at });

class World {
  readonly fold: ProfileFold;
  /** Messages that are appended before the run is killed. */
  killAfter = Number.POSITIVE_INFINITY;
  appended = 0;

  constructor(config: SegmentConfig = configOf()) {
    this.fold = new ProfileFold(config);
  }

  get deps(): SendDeps {
    const clock = new JumpClock();
    clock.ms = NOW;
    return {
      ...{ clock, shards: 4, config: this.fold.config, stamp: 'shop@1', by: 'test' },
      ...{ ratePerSecond: 1_000_000, alsoRefused: false },
      store: { read: this.#read },
      appender: {
        append: async (messages) => {
          for (const { payload, source, shard } of messages) {
            if (this.appended++ >= this.killAfter) throw new Error('killed');
            this.fold.payload(payload, { nowMs: NOW, source, shard });
          }
          return { kind: 'stored' };
        },
      },
      log: {
        state: async () => ({
          ...{ createdAt: '', firstSequence: 1, lastSequence: 0, messages: 0, bytes: 0, bytesMax: -1 },
        }),
        lastSequenceOf: async () => 0,
      },
    };
  }

  async run(pairs: readonly Pair[], how: 'try' | 'send', part: Partial<SendDeps> = {}): Promise<LinkReport> {
    const { deps, options } = testViews({ fold: this.fold, scratch, nowMs: NOW });
    const { duck, views, close } = await openViews(deps, options);
    const { signal } = options;
    try {
      const comparing = { duck, views, config: this.fold.config, signal, onBroken: () => {} };
      const compared = await compareSets(comparing, rowsOf(pairs));
      const run = { duck, compared, signal, onProgress: () => {} };
      return how === 'try' ? await tryLinks(this.deps, run) : await sendLinks({ ...this.deps, ...part }, run);
    } finally {
      await close();
    }
  }

  /** What the actor says that links did to profiles, by its audit log and not by the plan. */
  get happened(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = { merged: 0, moved: 0, created: 0, attached: 0 };
    for (const { messageId, facts } of this.fold.bodies('o.audit.') as readonly AuditEntry[]) {
      if (!messageId?.startsWith('link-')) continue;
      const { outcome } = judgeLink(facts, true);
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    }
    return counts;
  }

  /** Whether a link has taken a key from a profile. */
  get hasEvicted(): boolean {
    return (this.fold.bodies('o.audit.') as readonly AuditEntry[]).some(
      ({ messageId, facts }) =>
        messageId?.startsWith('link-') && facts.some(({ kind }) => kind === 'key_evicted'),
    );
  }

  /** Values by profile, as text. */
  get people(): readonly string[] {
    const live = [...this.fold.records.values()].filter((state) => (state as RecordState).kind === 'profile');
    return (live as Extract<RecordState, { kind: 'profile' }>[])
      .map(({ keys }) =>
        Object.values(keys)
          .flatMap((held) => held.map(({ value }) => value))
          .sort()
          .join(' '),
      )
      .sort();
  }

  readonly #read: RecordStore['read'] = async (keys) =>
    new Map(
      keys.map((key) => {
        const state = this.fold.records.get(key) as RecordState | undefined;
        return [key, { key, value: state ? encodeRecord(key, state) : null, revision: state ? 1 : 0 }];
      }),
    );
}

async function* rowsOf(pairs: readonly Pair[]): AsyncGenerator<FoundRow> {
  for (const { a, b, at } of pairs) {
    const [[key_name_a, value_a], [key_name_b, value_b]] = [a.split(':'), b.split(':')] as const;
    yield setOfRow({ key_name_a, value_a, key_name_b, value_b, at });
  }
}

/** What is told of links that do something. */
function effects({ outcomes }: LinkReport): Readonly<Record<string, number>> {
  const { merged, moved, created, attached } = outcomes;
  return { merged, moved, created, attached };
}

describe('links from batch', () => {
  it('seed an empty system', async () => {
    const world = new World();
    const pairs = [
      pair('customer_id:c1', 'email:A@x.com'),
      pair('email:a@x.com', 'device:d1'),
      pair('email:b@x.com', 'email:a@x.com'),
      pair('customer_id:c2', 'device:d2'),
    ];
    const dry = await world.run(pairs, 'try');
    expect(world.people).toEqual([]);
    expect(dry).toMatchObject({ found: 4, sets: 4, differing: 4, inPlace: 0, sent: 0, isWhole: true });
    const done = await world.run(pairs, 'send');
    expect(effects(dry)).toEqual(world.happened);
    expect(done.outcomes).toEqual(dry.outcomes);
    expect(world.people).toEqual(['a@x.com b@x.com c1 d1', 'c2 d2']);
    const kinds = world.fold.bodies('o.audit.').map((body) => (body as { kind: string }).kind);
    expect(kinds).toContain('profile_added');
    expect(world.fold.holder('customer_id', 'c1')).toMatchObject({ attributes: {} });
  });

  it('join what the stream has apart, and leave what it has', async () => {
    const world = new World();
    world.fold.send({ keys: { device: 'd1' } });
    world.fold.send({ keys: { customer_id: 'c1', email: 'a@x.com' } });
    const before = world.fold.holder('customer_id', 'c1')!;
    const pairs = [pair('customer_id:c1', 'email:a@x.com'), pair('device:d1', 'email:a@x.com', T0)];
    expect(await world.run(pairs, 'send')).toMatchObject({ inPlace: 1, differing: 1, sent: 1 });
    expect(world.people).toEqual(['a@x.com c1 d1']);
    const after = world.fold.holder('device', 'd1')!;
    expect([after.id, after.lastEventAtMs]).toEqual([before.id, before.lastEventAtMs]);
  });

  it('are refused by the rules that hold live, and are in the audit log when that is wanted', async () => {
    const world = new World();
    world.fold.send({ keys: { customer_id: 'c1', device: 'd1' } });
    world.fold.send({ keys: { customer_id: 'c2', device: 'd2' } });
    const pairs = [
      pair('customer_id:c1', 'customer_id:c2', T0),
      pair('device:d1', 'device:d2', T0),
      pair('device:guest', 'email:x@x.com', T0),
      pair('phone:1', 'email:x@x.com', T0),
    ];
    const dry = await world.run(pairs, 'try');
    expect(dry).toMatchObject({
      ...{ sets: 2, differing: 2, refusals: { limit: 2 }, unusable: { unknown_key: 1 } },
      outcomes: { refused: 2, merged: 0 },
    });
    const count = () => world.fold.bodies('o.audit.link_refused.').length;
    expect(await world.run(pairs, 'send')).toMatchObject({ sent: 0 });
    expect(count()).toBe(0);
    expect(await world.run(pairs, 'send', { alsoRefused: true })).toMatchObject({ sent: 2 });
    expect(count()).toBe(2);
    expect(world.people).toEqual(['c1 d1', 'c2 d2']);
  });

  it('of no known time take nothing from a profile; of a known time they do as the rules say', async () => {
    const owner = configOf(
      '',
      `keys:
    - { name: customer_id, limit: 1 }
    - { name: device, kind: device, limit: 100, owner: last_authenticated }`,
    );
    for (const at of [undefined, T0 + DAY]) {
      const world = new World(owner);
      world.fold.send({ keys: { customer_id: 'c1', device: 'd1' } });
      const pairs = [pair('customer_id:c2', 'email:a@x.com'), pair('customer_id:c2', 'device:d1', at)];
      world.fold.send({ keys: { customer_id: 'c2' } });
      const done = await world.run(pairs, 'send');
      expect(done.outcomes).toMatchObject(at === undefined ? { held_back: 1 } : { moved: 1 });
      expect(world.people).toEqual(at === undefined ? ['c1 d1', 'c2'] : ['c1', 'c2 d1']);
      expect(await world.run(pairs, 'send')).toMatchObject({ sent: 0 });
    }
  });

  it('count nothing, fire nothing, and keep nobody longer', async () => {
    const config = configOf(`events:
  - { name: any, when: 'event.name != "x"' }
attributes:
  - { name: views, type: counter, on: any, total: true }
  - { name: visit, type: session, gap: 30m, aggregate: { visit_views: { count: any } } }
`);
    const world = new World(config);
    world.fold.send({ keys: { device: 'd1' } });
    const before = world.fold.holder('device', 'd1')!;
    await world.run([pair('device:d1', 'email:a@x.com', T0 + DAY)], 'send');
    const after = world.fold.holder('email', 'a@x.com')!;
    expect(after.attributes).toEqual(before.attributes);
    expect(after.lastEventAtMs).toBe(before.lastEventAtMs);
    expect(after.keys.email).toMatchObject([{ firstSeenMs: T0 + DAY, lastSeenMs: T0 + DAY }]);
  });

  it('of a run that was killed are ended by the next, each once', async () => {
    const pairs = Array.from({ length: 600 }, (_, i) =>
      pair(`customer_id:c${i}`, `device:d${i}`, T0 + i * MINUTE),
    );
    const world = new World();
    world.killAfter = 250;
    await expect(world.run(pairs, 'send')).rejects.toThrow('killed');
    expect(world.people).toHaveLength(250);
    world.killAfter = Number.POSITIVE_INFINITY;
    expect(await world.run(pairs, 'send')).toMatchObject({ inPlace: 250, sent: 350 });
    expect(world.people).toHaveLength(600);
    expect(await world.run(pairs, 'send')).toMatchObject({ inPlace: 600, sent: 0 });
    expect(world.fold.bodies('o.audit.').length).toBe(600);
  });

  it('sent twice are applied once', async () => {
    const world = new World();
    const { fold } = world;
    await world.run([pair('customer_id:c1', 'device:d1')], 'send');
    const before = JSON.stringify([...fold.records]);
    const keys = [
      { name: 'customer_id', value: 'c1' },
      { name: 'device', value: 'd1' },
    ];
    fold.envelope({ v: 1, type: 'link', id: 'other', keys: keys.slice(0, 1), by: '' }, { nowMs: NOW });
    expect(JSON.stringify([...fold.records])).toBe(before);
    const link = { v: 1, type: 'link', id: 'twice', keys, by: '' } as const;
    fold.envelope(link, { nowMs: NOW, source: 'batch' });
    const once = JSON.stringify([...fold.records]);
    fold.envelope(link, { nowMs: NOW + 1, source: 'batch' });
    expect(JSON.stringify([...fold.records])).toBe(once);
  });
});

const RULES = [
  '',
  'on_limit: replace_oldest',
  'max_keys_per_profile: 4',
  'max_keys_per_profile: 4\n  on_max_keys: evict_oldest',
];
const EVICTING_RUNS_MAX = 6;
const RUNS = 40;
const OWNERS = ['', ', owner: first', ', owner: last_authenticated', ', owner: none_when_shared'];

describe('a dry run over any system and any pairs', () => {
  it('tells what happens; a second run finds nothing to do unless the first has taken keys away', async () => {
    const key = fc.oneof(
      fc.integer({ min: 1, max: 3 }).map((n) => `customer_id:c${n}`),
      fc.integer({ min: 1, max: 4 }).map((n) => `email:e${n}`),
      fc.integer({ min: 1, max: 4 }).map((n) => `device:d${n}`),
    );
    const at = fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined });
    const times = fc
      .tuple(key, key, at)
      .map(([a, b, hours]) => pair(a, b, hours && T0 + hours * 60 * MINUTE));
    const live = fc.array(fc.tuple(key, key, fc.integer({ min: 0, max: 20 })), { maxLength: 6 });
    const rules = fc.tuple(fc.constantFrom(...RULES), fc.constantFrom(...OWNERS));
    await fc.assert(
      fc.asyncProperty(
        rules,
        live,
        fc.array(times, { maxLength: 8 }),
        async ([rule, owner], events, pairs) => {
          const keys = `keys:
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 2 }
    - { name: device, kind: device, limit: 3${owner} }
  ${rule}`;
          const world = new World(configOf('', keys));
          for (const [a, b, hours] of events) {
            const named = Object.fromEntries([a, b].map((each) => each.split(':')));
            world.fold.send({ keys: named, timestampMs: T0 + hours * 60 * MINUTE }, T0 + DAY);
          }
          const dry = await world.run(pairs, 'try');
          const done = await world.run(pairs, 'send');
          expect(effects(dry)).toEqual(world.happened);
          expect(done.outcomes).toEqual(dry.outcomes);
          expect(done.refusals).toEqual(dry.refusals);
          // A key that left a profile makes room for one that was refused. Otherwise there is nothing left to do at once.
          for (let runs = 0; world.hasEvicted && (await world.run(pairs, 'send')).sent > 0; runs++)
            expect(runs).toBeLessThan(EVICTING_RUNS_MAX);
          const people = world.people;
          const again = await world.run(pairs, 'send');
          expect([again.sent, world.people]).toEqual([0, people]);
        },
      ),
      { numRuns: RUNS },
    );
  }, 120_000);
});
