// What a config store promises (shared/ports/config-store.ts). One suite for the in-memory one and for nats-server.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../shared/kernel/hash.ts';
import {
  CONFIG_BYTES_MAX,
  CONFIG_VERSIONS_KEPT,
  type ConfigCandidate,
  type ConfigStore,
  type StoredConfig,
} from '../../shared/ports/config-store.ts';
import { eventuallyTrue } from './collector.ts';

export interface ConfigStoreWorld {
  readonly store: ConfigStore;
  /** The store as another process sees it. */
  readonly other: ConfigStore;
  close(): Promise<void>;
}

const AT = '2026-11-23T10:00:00.000Z';

function candidate(text: string, part: Partial<ConfigCandidate> = {}): ConfigCandidate {
  return { yaml: text, digest: `of ${text}`, at: AT, by: 'ann', note: null, rollbackOf: null, ...part };
}

function stored(version: number, text: string, part: Partial<StoredConfig> = {}): StoredConfig {
  return { ...candidate(text), version, textDigest: sha256Hex(text), ...part };
}

export function configStoreContract(name: string, make: () => Promise<ConfigStoreWorld>): void {
  describe(`config store: ${name}`, () => {
    let world: ConfigStoreWorld;
    beforeEach(async () => {
      world = await make();
    });
    afterEach(() => world.close());

    it('has nothing at first', async () => {
      expect(await world.store.current()).toBeUndefined();
      expect(await world.store.version(1)).toBeUndefined();
      expect(await world.store.entries()).toEqual([]);
    });

    it('keeps every version as it was stored, and puts the newest in force', async () => {
      const { store, other } = world;
      const odd = 'a: "\u00e4\u{1F600}"\n# why\n';
      expect(await store.add(candidate(odd, { note: 'first' }), 0)).toEqual({
        kind: 'added',
        config: stored(1, odd, { note: 'first' }),
      });
      await other.add(candidate('b', { by: 'bob' }), 1);
      await store.add(candidate(odd, { rollbackOf: 1 }), 2);
      for (const seen of [store, other]) {
        expect(await seen.current()).toEqual(stored(3, odd, { rollbackOf: 1 }));
        expect(await seen.version(1)).toEqual(stored(1, odd, { note: 'first' }));
        expect(await seen.version(2)).toEqual(stored(2, 'b', { by: 'bob' }));
        expect(await seen.version(4)).toBeUndefined();
        expect(await seen.version(0)).toBeUndefined();
        const entries = await seen.entries();
        expect(entries.map(({ version, by, note, rollbackOf }) => [version, by, note, rollbackOf])).toEqual([
          [3, 'ann', null, 1],
          [2, 'bob', null, null],
          [1, 'ann', 'first', null],
        ]);
        expect(entries.some((entry) => 'yaml' in entry)).toBe(false);
      }
    });

    it('refuses a version that is to come after another than the one in force', async () => {
      const { store, other } = world;
      await store.add(candidate('a'), 0);
      expect(await other.add(candidate('b'), 0)).toEqual({ kind: 'conflict', version: 1 });
      expect(await other.add(candidate('b'), 2)).toEqual({ kind: 'conflict', version: 1 });
      expect(await store.current()).toEqual(stored(1, 'a'));
      expect(await store.entries()).toHaveLength(1);
    });

    it('gives a number to one of many that apply at the same time', async () => {
      const { store, other } = world;
      for (const after of [0, 1, 2]) {
        const texts = Array.from({ length: 8 }, (_, index) => `${after}.${index}`);
        const outcomes = await Promise.all(
          texts.map((text, index) => (index % 2 === 0 ? store : other).add(candidate(text), after)),
        );
        const added = outcomes.flatMap((outcome) => (outcome.kind === 'added' ? [outcome.config] : []));
        expect(added).toHaveLength(1);
        expect(outcomes.filter(({ kind }) => kind === 'conflict')).toHaveLength(7);
        expect(await store.current()).toEqual(added[0]);
        expect(await store.version(after + 1)).toEqual(added[0]);
      }
    });

    it('tells watchers what is in force, and what comes into force', async () => {
      const { store, other } = world;
      await store.add(candidate('a'), 0);
      const seen: StoredConfig[] = [];
      const stop = other.watch((config) => void seen.push(config));
      await eventuallyTrue('the one in force is told', () => seen.at(-1)?.version === 1);
      await store.add(candidate('b'), 1);
      await eventuallyTrue('the next is told', () => seen.at(-1)?.version === 2);
      expect(seen.at(-1)).toEqual(stored(2, 'b'));
      stop();
    });

    it('tells a watcher of the first version of all', async () => {
      const seen: number[] = [];
      const stop = world.other.watch(({ version }) => void seen.push(version));
      await world.store.add(candidate('a'), 0);
      await eventuallyTrue('the first is told', () => seen.includes(1));
      stop();
    });

    it('takes a text of the greatest length, and none beyond', async () => {
      const text = 'x'.repeat(CONFIG_BYTES_MAX);
      await world.store.add(candidate(text), 0);
      expect((await world.other.current())?.yaml).toBe(text);
      await expect(world.store.add(candidate(`${text}x`), 1)).rejects.toMatchObject({
        code: 'INVALID_CONFIG',
      });
      expect((await world.store.current())?.version).toBe(1);
    });

    it(`keeps the last ${CONFIG_VERSIONS_KEPT} versions`, async () => {
      const { store, other } = world;
      for (let after = 0; after < CONFIG_VERSIONS_KEPT + 2; after++)
        await store.add(candidate(`text ${after + 1}`), after);
      const entries = await other.entries();
      expect(entries).toHaveLength(CONFIG_VERSIONS_KEPT);
      expect(entries.at(-1)?.version).toBe(3);
      expect(entries[0]?.version).toBe(CONFIG_VERSIONS_KEPT + 2);
      expect(await other.version(2)).toBeUndefined();
      expect(await other.version(3)).toEqual(stored(3, 'text 3'));
    }, 60_000);
  });
}
