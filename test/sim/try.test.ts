import { writeFileSync } from 'node:fs';
import { test } from 'vitest';
import { profileScenario } from './profile-scenario.ts';
import { simulate } from './simulate.ts';
import { tallyScenario } from './tally-scenario.ts';
import * as variants from './variants.ts';

test('try', async () => {
  const [from, to] = (process.env.SIM_SEEDS ?? '1..20').split('..').map(Number) as [number, number];
  const marks = new Map<string, number>();
  const t0 = Date.now();
  let bad = 0,
    steps = 0,
    messages = 0;
  for (let seed = from; seed <= to; seed++) {
    const t = Date.now();
    const r = await simulate({
      seed,
      ...(process.env.PROFILES ? { scenario: profileScenario } : {}),
      traceLines: to === from ? 1e6 : 40,
    });
    if (r.convergedMs > 16000) console.log('CONV', seed, r.convergedMs);
    steps += r.steps;
    messages += r.messages;
    for (const [k, v] of r.marks) marks.set(k, (marks.get(k) ?? 0) + v);
    if (r.violations.length) {
      bad++;
      console.log('SEED', seed, r.violations.slice(0, 5).join('\n'), '');
    }
    if (to === from) writeFileSync('/tmp/trace.txt', r.tail.join('\n'));
    if (Date.now() - t > 1500) console.log('slow', seed, Date.now() - t, r.steps);
  }
  console.log({ bad, ms: Date.now() - t0, steps, messages }, [...marks].sort());
}, 600000);

test.runIf(process.env.VARIANTS)(
  'variants',
  async () => {
    for (const outcomeOnly of [false, true])
      for (const [name, wrapStore] of Object.entries(variants)) {
        let first = 0,
          caught = 0,
          t = Date.now();
        let why = '';
        if (process.env.VARIANTS !== '1' && name !== process.env.VARIANTS) continue;
        for (let seed = 1; seed <= 60; seed++) {
          const r = await simulate({
            seed,
            wrapStore,
            outcomeOnly,
            scenario: tallyScenario({ mostlyDuties: name === 'guardLeftOut' }),
          });
          if (r.violations.length) {
            caught++;
            first ||= seed;
            why ||= r.violations[0]!;
          }
        }
        console.log(outcomeOnly, name, 'caught', caught, 'first', first, Date.now() - t, why.slice(0, 200));
      }
  },
  600000,
);

import { disaster } from './disaster.ts';

test.runIf(process.env.DISASTER)(
  'disaster',
  async () => {
    for (const kind of ['replaced', 'truncated', 'purged'] as const) {
      let bad = 0;
      const marks = new Map<string, number>();
      for (let seed = 1; seed <= 60; seed++) {
        const r = await disaster(seed, kind);
        for (const [k, v] of r.marks) marks.set(k, (marks.get(k) ?? 0) + v);
        if (r.violations.length) {
          bad++;
          if (process.env.DSEED) console.log(kind, r.tail.join('\n'), r.marks);
          if (bad < 4)
            console.log(kind, seed, r.violations.slice(0, 3).join('\n'), '\n' + r.tail.slice(-3).join('\n'));
        }
      }
      console.log(
        kind,
        bad,
        [...marks].filter(([k]) => /halt/.test(k)),
      );
    }
  },
  600000,
);
