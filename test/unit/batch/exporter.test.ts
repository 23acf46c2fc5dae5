// Exports on a schedule: one process writes each, another when it died; what failed is tried again; what passed while nobody
// was there counts once.
import { describe, expect, it } from 'vitest';
import { Exporter, type ExporterDeps } from '../../../batch/export/exporter.ts';
import { createCron } from '../../../batch/jobs/cron.ts';
import { seededRandom } from '../../../shared/kernel/random.ts';
import { FakeStore, JumpClock } from '../../runtime/fakes.ts';
import { TestPresence } from './rig.ts';

const HOUR_MS = 3_600_000;
const T0 = Date.UTC(2026, 10, 23, 10, 30);

class World {
  readonly store = new FakeStore();
  readonly presence = new TestPresence();
  readonly clock = new JumpClock();
  readonly written: string[] = [];
  readonly told: string[] = [];

  constructor() {
    this.clock.ms = T0;
  }

  exporter(owner: string, write?: ExporterDeps['write']): Exporter {
    this.presence.there.add(owner);
    const { store, presence, clock } = this;
    return new Exporter({
      ...{ store, presence, clock, owner, random: seededRandom(3) },
      cron: createCron('0 * * * *', 'UTC'),
      write:
        write ??
        (async (dueMs) => {
          this.written.push(`${owner} ${new Date(dueMs).getUTCHours()}`);
          return { folder: 'x', manifest: { v: 1, segment: 's', at: '', files: [] }, removed: [] };
        }),
      telemetry: { exported: () => void this.told.push(owner), failed: () => {} },
    });
  }
}

describe('exports', () => {
  it('begin with the first time after the first look, and are written once each', async () => {
    const world = new World();
    const [a, b] = [world.exporter('a'), world.exporter('b')];
    await a.look();
    await b.look();
    expect(world.written).toEqual([]);
    world.clock.ms = T0 + HOUR_MS;
    await a.look();
    await b.look();
    await a.look();
    expect(world.written).toEqual(['a 11']);
    world.clock.ms = T0 + 5 * HOUR_MS;
    await b.look();
    await a.look();
    expect(world.written).toEqual(['a 11', 'b 15']);
    expect(world.told).toEqual(['a', 'b']);
  });

  it('are left to the process that writes one, and taken over when it is gone', async () => {
    const world = new World();
    let finish = () => {};
    const held = new Promise<undefined>((resolve) => {
      finish = () => resolve(undefined);
    });
    const a = world.exporter('a', () => held);
    const b = world.exporter('b');
    await a.look();
    world.clock.ms = T0 + HOUR_MS;
    const writing = a.look().catch((error: unknown) => error);
    await b.look();
    expect(world.written).toEqual([]);
    world.presence.there.delete('a');
    await b.look();
    expect(world.written).toEqual(['b 11']);
    finish();
    // The one that was given up for dead notes nothing any more.
    expect(String(await writing)).toContain('written by another process');
    await b.look();
    expect(world.written).toEqual(['b 11']);
  });

  it('that fail are not settled', async () => {
    const world = new World();
    await world.exporter('a').look();
    world.clock.ms = T0 + HOUR_MS;
    const failing = world.exporter('a', async () => {
      throw new Error('disk full');
    });
    await expect(failing.look()).rejects.toThrow('disk full');
    await world.exporter('b').look();
    expect(world.written).toEqual(['b 11']);
  });
});
