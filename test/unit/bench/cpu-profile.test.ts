// The reader of CPU profiles: on one written by hand, and on one that Node wrote.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type CpuProfile,
  placeOf,
  readCpuProfile,
  summarizeProfile,
} from '../../../infra/bench/cpu-profile.ts';

const node = (id: number, functionName: string, url: string, lineNumber = 0) => ({
  id,
  callFrame: { functionName, url, lineNumber },
});

describe('summary', () => {
  const profile: CpuProfile = {
    nodes: [
      node(1, '(root)', ''),
      node(2, 'pack', 'file:///a/node_modules/msgpackr/pack.js', 9),
      node(3, 'decide', 'file:///a/dist/actors/profile/actor.js', 4),
      node(4, 'decide', 'file:///a/dist/actors/profile/actor.js', 4),
      node(5, '(idle)', ''),
      node(6, '(garbage collector)', ''),
    ],
    samples: [2, 3, 4, 5, 6, 2],
    timeDeltas: [100, 1000, 2000, 3000, 4000, 500],
  };

  it('gives a sample the time until the next, adds up what is the same function, and leaves idle time out', () => {
    const { busyMs, idleMs, functions, files } = summarizeProfile(profile, 10);
    expect(idleMs).toBe(4);
    expect(busyMs).toBeCloseTo(6.5);
    expect(functions.slice(0, 3)).toEqual([
      { name: 'decide actors/profile/actor.js:5', ms: 5, share: 5 / 6.5 },
      { name: 'pack msgpackr:10', ms: 1, share: 1 / 6.5 },
      { name: '(garbage collector)', ms: 0.5, share: 0.5 / 6.5 },
    ]);
    expect(files.map(({ name }) => name).slice(0, 3)).toEqual([
      'actors/profile/actor.js',
      'msgpackr',
      '(garbage collector)',
    ]);
  });

  it('is cut to the top', () => {
    expect(summarizeProfile(profile, 1).functions).toHaveLength(1);
  });

  it.each([
    ['file:///x/node_modules/@nats-io/nats-core/lib/a.js', '@nats-io/nats-core'],
    ['/x/node_modules/a/node_modules/b/c.js', 'b'],
    ['file:///x/dist/infra/wire.js', 'infra/wire.js'],
    ['node:net', 'node:net'],
    ['', ''],
  ])('places %s in %s', (url, place) => {
    expect(placeOf(url)).toBe(place);
  });
});

it('reads what Node writes, and finds the function that is busy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stitchwork-profile-'));
  try {
    const script = join(folder, 'busy.cjs');
    writeFileSync(
      script,
      `function burn() { const end = Date.now() + 300; let x = 0; while (Date.now() < end) for (let i = 0; i < 1e4; i++) x += i; return x; } burn();`,
    );
    execFileSync(process.execPath, ['--cpu-prof', `--cpu-prof-dir=${folder}`, script]);
    const file = readdirSync(folder).find((name) => name.endsWith('.cpuprofile'));
    const { busyMs, functions } = summarizeProfile(readCpuProfile(join(folder, file ?? '')), 20);
    const burn = functions.find(({ name }) => name.startsWith('burn '));
    expect(burn?.ms).toBeGreaterThan(100);
    expect(busyMs).toBeGreaterThanOrEqual(burn?.ms ?? Number.POSITIVE_INFINITY);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
