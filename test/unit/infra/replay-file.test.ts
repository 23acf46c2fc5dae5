// A replay: order, batches, message ids, the saved position after each batch, rate, rows that cannot be used.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Position, positionFile } from '../../../infra/replay/position.ts';
import type { Row } from '../../../infra/replay/read-rows.ts';
import { type ReplayOptions, type ReplayTotals, replayRows } from '../../../infra/replay/replay-file.ts';
import type { SendOutcome } from '../../../infra/replay/send.ts';
import type { Clock } from '../../../shared/kernel/clock.ts';

const START: ReplayTotals = { rows: 0, sent: 0, broken: 0, rejected: 0 };
const ACCEPTED: SendOutcome = { kind: 'accepted', rejected: [] };

async function* rowsOf(count: number, brokenAt: readonly number[] = []): AsyncGenerator<Row> {
  for (let row = 1; row <= count; row++) {
    if (brokenAt.includes(row)) yield { kind: 'broken', row, line: row + 1, reason: 'no' };
    else yield { kind: 'row', row, line: row + 1, fields: { name: 'n', keys: { a: String(row) } } };
  }
}

function harness(outcome: (batch: number) => SendOutcome = () => ACCEPTED) {
  let nowMs = 0;
  const clock: Clock = {
    nowMs: () => 0,
    elapsedMs: () => nowMs,
    async sleep(ms) {
      nowMs += ms;
    },
  };
  const batches: string[][] = [];
  const totals: ReplayTotals[] = [];
  const broken: number[] = [];
  return {
    batches,
    totals,
    broken,
    elapsedMs: () => nowMs,
    deps: {
      clock,
      async send(events: readonly Record<string, unknown>[]) {
        batches.push(events.map((event) => (event.keys as { a: string }).a));
        return outcome(batches.length);
      },
      onBatch: (soFar: ReplayTotals) => void totals.push(soFar),
      onBroken: (line: number) => void broken.push(line),
    },
  };
}

function options(given: Partial<ReplayOptions> = {}): ReplayOptions {
  const signal = new AbortController().signal;
  return { fileDigest: 'digest', mapping: [], from: START, ratePerSecond: undefined, signal, ...given };
}

describe('replay of rows', () => {
  it('sends all rows once, in order, in batches of up to 500', async () => {
    const h = harness();
    const totals = await replayRows(rowsOf(1201), h.deps, options());
    expect(h.batches.map((batch) => batch.length)).toEqual([500, 500, 201]);
    expect(h.batches.flat()).toEqual(Array.from({ length: 1201 }, (_, i) => String(i + 1)));
    expect(totals).toEqual({ rows: 1201, sent: 1201, broken: 0, rejected: 0 });
  });

  it('resumes after the position of any batch and sends the rest, no row twice', async () => {
    const whole = harness();
    await replayRows(rowsOf(1300, [3, 500, 501, 1300]), whole.deps, options());
    for (const [index, from] of whole.totals.entries()) {
      const rest = harness();
      const totals = await replayRows(rowsOf(1300, [3, 500, 501, 1300]), rest.deps, options({ from }));
      expect([...whole.batches.slice(0, index + 1).flat(), ...rest.batches.flat()]).toEqual(
        whole.batches.flat(),
      );
      expect(totals).toEqual({ rows: 1300, sent: 1296, broken: 4, rejected: 0 });
    }
  });

  it('gives a row the same message id in every run, and another row another', async () => {
    const ids: unknown[] = [];
    const deps = {
      ...harness().deps,
      send: async (events: readonly Record<string, unknown>[]) => {
        ids.push(...events.map((event) => event.messageId));
        return ACCEPTED;
      },
    };
    await replayRows(rowsOf(3), deps, options());
    await replayRows(rowsOf(3), deps, options());
    await replayRows(rowsOf(3), deps, options({ fileDigest: 'other file' }));
    expect(ids.slice(0, 3)).toEqual(ids.slice(3, 6));
    expect(new Set(ids).size).toBe(6);
  });

  it("counts and tells rows that cannot be used, its own and the gateway's", async () => {
    const h = harness(() => ({ kind: 'accepted', rejected: [{ index: 1, code: 'NO_KEYS', message: 'm' }] }));
    const totals = await replayRows(rowsOf(4, [1]), h.deps, options());
    expect(totals).toEqual({ rows: 4, sent: 2, broken: 1, rejected: 1 });
    expect(h.broken).toEqual([2, 4]);
  });

  it('stops at a batch that is refused, before its rows count', async () => {
    const h = harness((batch) => (batch === 2 ? { kind: 'refused', status: 401, body: 'no' } : ACCEPTED));
    await expect(replayRows(rowsOf(1000), h.deps, options())).rejects.toThrow(/line 502.*401/);
    expect(h.totals.at(-1)).toMatchObject({ rows: 500, sent: 500 });
  });

  it('keeps the rate', async () => {
    const h = harness();
    await replayRows(rowsOf(1000), h.deps, options({ ratePerSecond: 100 }));
    expect(h.elapsedMs()).toBe(10_000);
    expect(h.batches[0]).toHaveLength(25);
  });

  it('stops when told to', async () => {
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    await expect(replayRows(rowsOf(3), harness().deps, options({ signal: stop.signal }))).rejects.toThrow(
      'enough',
    );
  });
});

describe('the saved position', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stitchwork-position-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const position: Position = {
    v: 1,
    file: 'f',
    fileDigest: 'abc',
    url: 'u',
    mappingDigest: 'm',
    ...START,
    finished: false,
  };

  it('is found again by content and segment, and forgotten on demand', () => {
    const file = positionFile(folder, 'abc', 'shop');
    expect(file.load()).toBeUndefined();
    file.save({ ...position, rows: 7 });
    expect(positionFile(folder, 'abc', 'shop').load()?.rows).toBe(7);
    expect(positionFile(folder, 'abc', 'other').load()).toBeUndefined();
    expect(positionFile(folder, 'abd', 'shop').load()).toBeUndefined();
    file.clear();
    expect(file.load()).toBeUndefined();
  });
});
