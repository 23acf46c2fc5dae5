// Which config a role starts with and follows: the store's. A file at the start counts only when it is new.
import pino from 'pino';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { configInForce } from '../../../infra/config-in-force.ts';
import { followConfig } from '../../../infra/follow-config.ts';
import { readSegmentText, type SegmentSource } from '../../../infra/segment-files.ts';
import { segmentNames } from '../../../shared/contract/names.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import { StitchworkError } from '../../../shared/kernel/errors.ts';
import type { ConfigStore } from '../../../shared/ports/config-store.ts';
import { memoryConfigStore } from '../../support/memory-config-store.ts';

const yamlOf = (key: string) => `segment: shop\nstitching:\n  keys:\n    - { name: ${key} }\n`;
const sourceOf = (yaml: string): SegmentSource => readSegmentText(yaml).source!;
const A = yamlOf('a');
const B = yamlOf('b');
const candidate = (yaml: string) => {
  return { yaml, digest: 'x', at: '2026-11-23T10:00:00.000Z', by: 'ann', note: null, rollbackOf: null };
};

let store: ConfigStore;
let lines: { level: number; msg: string }[];
let log: pino.Logger;
beforeEach(() => {
  store = memoryConfigStore();
  lines = [];
  log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
});

const start = (yaml: string) =>
  configInForce(
    store,
    { kind: 'file', source: sourceOf(yaml) },
    { names: segmentNames('shop'), log, clock: systemClock },
  );

describe('a file at a start', () => {
  it('is version 1 when the segment has none, once, also when many start together', async () => {
    const started = await Promise.all([start(A), start(A), start(A)]);
    expect(started.map(({ version }) => version)).toEqual([1, 1, 1]);
    expect(await store.entries()).toHaveLength(1);
    expect((await store.current())?.by).toMatch(/^--config at a start on /);
  });

  it('is a new version when its text is new', async () => {
    await start(A);
    expect(await start(B)).toMatchObject({ version: 2, source: { yaml: B } });
  });

  it('changes nothing when it is a version that is kept, and says so', async () => {
    await start(A);
    await start(B);
    expect(await start(A)).toMatchObject({ version: 2, source: { yaml: B } });
    expect(await store.entries()).toHaveLength(2);
    expect(lines.at(-1)).toMatchObject({
      level: 40,
      msg: 'the file is config version 1, and version 2 is in force: it stays. To change it, use stitchwork apply or rollback',
    });
  });

  it('changes nothing when only comments differ from a version that is kept', async () => {
    await start(A);
    await start(B);
    expect(await start(`# note\n${B}`)).toMatchObject({ version: 2, source: { yaml: B } });
    expect(await start(`# note\n${A}`)).toMatchObject({ version: 2 });
  });

  it('is known by its text when the digest is of another release', async () => {
    await store.add(candidate(A), 0);
    await store.add(candidate(B), 1);
    expect(await start(A)).toMatchObject({ version: 2 });
  });
});

describe('a stored config', () => {
  const stored = () =>
    configInForce(
      store,
      { kind: 'stored', segment: 'shop' },
      { names: segmentNames('shop'), log, clock: systemClock },
    );

  it('is the one in force; none, or one that cannot run here, is an error', async () => {
    await expect(stored()).rejects.toMatchObject({ code: 'UNKNOWN_SEGMENT' });
    await start(A);
    expect(await stored()).toMatchObject({ version: 1, source: { yaml: A } });
    await store.add(candidate('segment: shop\nfuture: {}\n'), 1);
    await expect(stored()).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });
});

describe('following', () => {
  let reconnect: () => void;
  const door = {
    onReconnect: (callback: () => void) => {
      reconnect = callback;
      return () => {};
    },
  };

  it('takes newer versions over, tells of each, and never goes back', async () => {
    const live = followConfig(door, store, await start(A), log);
    const told: number[] = [];
    live.onConfig(() => void told.push(live.configVersion()));
    await store.add(candidate(B), 1);
    await vi.waitFor(() => expect(told).toEqual([2]));
    expect(live.config().stitching.keys[0]?.name).toBe('b');
    await live.refresh();
    expect(told).toEqual([2]);
    live.close();
    await store.add(candidate(A), 2);
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual([2]);
  });

  it('stays with the old one when the newer cannot run here, and says so once', async () => {
    const live = followConfig(door, store, await start(A), log);
    await store.add(candidate('segment: shop\nfuture: {}\n'), 1);
    await live.refresh();
    await live.refresh();
    expect(live.configVersion()).toBe(1);
    expect(lines.filter(({ level }) => level === 50)).toHaveLength(1);
    await store.add(candidate(B), 2);
    await vi.waitFor(() => expect(live.configVersion()).toBe(3));
    live.close();
  });

  it('looks when it is asked to and after a reconnection, whatever the watch missed', async () => {
    let isOut = false;
    const deaf: Pick<ConfigStore, 'current' | 'watch'> = {
      watch: () => () => {},
      current: () => (isOut ? Promise.reject(new StitchworkError('STORE_UNAVAILABLE')) : store.current()),
    };
    const live = followConfig(door, deaf, await start(A), log);
    await store.add(candidate(B), 1);
    isOut = true;
    await live.refresh();
    expect(live.configVersion()).toBe(1);
    isOut = false;
    reconnect();
    await vi.waitFor(() => expect(live.configVersion()).toBe(2));
    await store.add(candidate(A), 2);
    await live.refresh();
    expect(live.configVersion()).toBe(3);
    live.close();
  });
});
