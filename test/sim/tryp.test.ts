import { test } from 'vitest';
import { profileScenario } from './profile-scenario.ts';
import { simulate } from './simulate.ts';
import * as variants from './variants.ts';

test('p', async () => {
  for (const [name, wrapStore] of Object.entries(variants)) {
    let caught = 0,
      first = 0,
      why = '';
    for (let seed = 1; seed <= 40; seed++) {
      const r = await simulate({ seed, wrapStore, outcomeOnly: true, scenario: profileScenario });
      if (r.violations.length) {
        caught++;
        first ||= seed;
        why ||= r.violations[0]!;
      }
    }
    console.log(name, caught, first, why.slice(0, 200));
  }
}, 600000);
