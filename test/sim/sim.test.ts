// The deterministic simulation of the worker runtime: hundreds of seeds, the broken variants that it must catch, the
// disasters of the log, and the proof that the rare branches were taken.
import { describe, expect, test } from 'vitest';
import { type Disaster, disaster } from './disaster.ts';
import { ledgerScenario } from './ledger-scenario.ts';
import { profileScenario } from './profile-scenario.ts';
import { REGRESSIONS } from './regressions.ts';
import { addMarks, failureReport } from './report.ts';
import { sharedScenario } from './shared-scenario.ts';
import { type SimOptions, simulate } from './simulate.ts';
import { tallyScenario } from './tally-scenario.ts';
import * as variants from './variants.ts';

const SEEDS = 250;
const SLICE = 50;
const PROFILE_SEEDS = 60;
const SHARED_SEEDS = 80;
const LEDGER_SEEDS = 120;
const LEDGER_VARIANT_SEEDS_MAX = 600;
const VARIANT_SEEDS_MAX = 150;
const DISASTER_SEEDS = 30;
const TIMEOUT_MS = 120_000;
/** Probes that get lost make two workers believe that they own one shard. */
const SPLIT_BRAIN = { membershipFails: 0.3 };

/** Branches that the seeds together must take: without them the simulation proves little. */
const RARE_BRANCHES = [
  'worker.fenced',
  'worker.conflict data',
  'worker.conflict shard',
  'worker.unknown -> committed',
  'worker.unknown -> not_committed',
  'worker.unknown -> fenced',
  'worker.busy',
  'worker.refused',
  'worker.evicted',
  'worker.released',
  'worker.stopped',
  'worker.crash while deciding',
  'worker.crash while committing',
  'worker.crash while committed',
  'worker.dead letter POISON_MESSAGE',
  'worker.dead letter RECORD_TOO_LARGE',
  'worker.dead letter DECISION_TOO_LARGE',
  'worker.dead letter RECORD_DAMAGED',
  'store.stale read',
  'store.unnamed conflict',
  'store.half a batch abandoned',
  'store.delayed commit applied',
  'store.rolled forward',
  'store.timer inside a batch',
  'store.read failed',
  'take-over',
  'process.resumed',
  'process.partition',
  'members.silent',
  'copies.stand still',
  'log.append repeated',
  'log.purged',
  'log.reader opened again',
  'log.reader stalled',
] as const;

const seen = new Map<string, number>();

describe('each message once, whatever goes wrong', () => {
  for (let from = 1; from <= SEEDS; from += SLICE) {
    test(`seeds ${from} to ${from + SLICE - 1}`, () => runSeeds(from, from + SLICE - 1), TIMEOUT_MS);
  }

  test('the rare branches were taken', () => {
    expect(RARE_BRANCHES.filter((branch) => !seen.has(branch))).toEqual([]);
  });
});

async function runSeeds(from: number, to: number): Promise<void> {
  for (let seed = from; seed <= to; seed++) {
    const result = await simulate({ seed });
    addMarks(seen, result.marks);
    if (result.violations.length > 0) expect.fail(failureReport(result));
  }
}

describe('the profile actor', () => {
  test(
    `${PROFILE_SEEDS} seeds`,
    async () => {
      for (let seed = 1; seed <= PROFILE_SEEDS; seed++) {
        const result = await simulate({ seed, scenario: profileScenario });
        if (result.violations.length > 0) expect.fail(failureReport(result, ' --profiles'));
      }
    },
    TIMEOUT_MS,
  );
});

describe('people who share devices', () => {
  test(
    `${SHARED_SEEDS} seeds: keys move, and every event counts once`,
    async () => {
      for (let seed = 1; seed <= SHARED_SEEDS; seed++) {
        const result = await simulate({ seed, scenario: sharedScenario });
        if (result.violations.length > 0) expect.fail(failureReport(result, ' --shared'));
      }
    },
    TIMEOUT_MS,
  );
});

describe('plain writes, kept from being applied twice by their stamps alone', () => {
  const counts = { repeats: 0 };
  const marks = new Map<string, number>();

  for (let from = 1; from <= LEDGER_SEEDS; from += SLICE) {
    test(
      `seeds ${from} to ${from + SLICE - 1}`,
      async () => {
        for (let seed = from; seed < from + SLICE; seed++) {
          const result = await simulate({ seed, scenario: ledgerScenario(counts) });
          addMarks(marks, result.marks);
          if (result.violations.length > 0) expect.fail(failureReport(result, ' --ledger'));
        }
      },
      TIMEOUT_MS,
    );
  }

  test('messages were read again and recognised', () => {
    expect(counts.repeats).toBeGreaterThan(0);
    const branches = ['worker.plain commit', 'worker.unknown -> redone', 'worker.conflict data', 'take-over'];
    expect(branches.filter((branch) => !marks.has(branch))).toEqual([]);
  });

  const broken = {
    'stamps that are not looked at': { scenario: ledgerScenario(counts, { blind: true }) },
    'stamps that a merge loses': { scenario: ledgerScenario(counts, { forgetful: true }) },
    'no answer taken for stored': {
      scenario: ledgerScenario(counts),
      wrapStore: variants.unknownPlainIsSuccess,
    },
    'ownership that is not proven': {
      scenario: ledgerScenario(counts, { crowded: true }),
      wrapStore: variants.unprovenOwnership,
      faults: SPLIT_BRAIN,
    },
  };
  for (const [name, options] of Object.entries(broken)) {
    test(`caught: ${name}`, () => expectViolation(options), TIMEOUT_MS);
  }
});

async function expectViolation(options: Omit<SimOptions, 'seed'>): Promise<void> {
  for (let seed = 1; seed <= LEDGER_VARIANT_SEEDS_MAX; seed++) {
    const { violations } = await simulate({ seed, ...options });
    if (violations.length > 0) return;
  }
  expect.fail(`not caught in ${LEDGER_VARIANT_SEEDS_MAX} seeds`);
}

test('a seed gives the same run twice', async () => {
  for (const seed of [3, 14, 159]) {
    const [first, second] = [await simulate({ seed }), await simulate({ seed })];
    expect(second.traceHash).toBe(first.traceHash);
    expect(second.steps).toBe(first.steps);
    expect(first.traceHash).not.toBe((await simulate({ seed: seed + 1 })).traceHash);
  }
}, 30_000);

describe('broken variants are caught', () => {
  // By what a user would see: a message applied twice or never, a rule between records broken, news of a commit that is none.
  const byOutcome = {
    noFence: variants.noFence,
    replyBeforeCommit: variants.replyBeforeCommit,
    checkpointOutside: variants.checkpointOutside,
    guardLeftOut: variants.guardLeftOut,
    unknownIsFailure: variants.unknownIsFailure,
    unknownIsSuccess: variants.unknownIsSuccess,
  };
  // By the check of what a commit expects: the conditional writes keep them from doing harm, so they only cost time.
  const byProvenance = { staleRetry: variants.staleRetry, computedRevisions: variants.computedRevisions };
  for (const [name, wrapStore] of Object.entries(byOutcome)) {
    test(name, () => expectCaught(wrapStore, true), TIMEOUT_MS);
  }
  for (const [name, wrapStore] of Object.entries(byProvenance)) {
    test(name, () => expectCaught(wrapStore, false), TIMEOUT_MS);
  }
});

async function expectCaught(wrapStore: variants.Variant, outcomeOnly: boolean): Promise<void> {
  const faults = wrapStore === variants.noFence ? SPLIT_BRAIN : {};
  const scenario = tallyScenario({ mostlyDuties: wrapStore === variants.guardLeftOut });
  for (let seed = 1; seed <= VARIANT_SEEDS_MAX; seed++) {
    const { violations } = await simulate({ seed, wrapStore, outcomeOnly, scenario, faults });
    if (violations.length > 0) return;
  }
  expect.fail(`not caught in ${VARIANT_SEEDS_MAX} seeds`);
}

describe('a log that is not the one that was read stops the shard with an alarm', () => {
  const codes: Record<Disaster, readonly string[]> = {
    replaced: ['worker.halted LOG_REPLACED'],
    truncated: ['worker.halted LOG_TRUNCATED', 'worker.halted LOG_REPLACED'],
    purged: ['worker.halted LOG_TRUNCATED'],
    overtaken: ['worker.halted LOG_TRUNCATED'],
  };
  for (const kind of Object.keys(codes) as Disaster[]) {
    test(kind, () => expectHalts(kind, codes[kind]), TIMEOUT_MS);
  }
});

async function expectHalts(kind: Disaster, codes: readonly string[]): Promise<void> {
  const marks = new Map<string, number>();
  const seeds = Array.from({ length: DISASTER_SEEDS }, (_, index) => index + 1);
  for (const seed of [...REGRESSIONS[kind], ...seeds]) {
    const result = await disaster(seed, kind);
    addMarks(marks, result.marks);
    if (result.violations.length > 0) expect.fail(failureReport(result, ` --disaster ${kind}`));
  }
  expect(codes.filter((code) => !marks.has(code))).toEqual([]);
}
