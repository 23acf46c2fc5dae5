// Sending one batch: what is tried again, for how long, and what is given up at once.
import { describe, expect, it } from 'vitest';
import { type Answer, sendBatch } from '../../../infra/replay/send.ts';
import { isStitchworkError } from '../../../shared/kernel/errors.ts';
import { seededRandom } from '../../../shared/kernel/random.ts';

function harness(answers: readonly (Answer | Error)[]) {
  let nowMs = 0;
  const bodies: string[] = [];
  const waits: number[] = [];
  const deps = {
    clock: {
      nowMs: () => 0,
      elapsedMs: () => nowMs,
      async sleep(ms: number) {
        nowMs += ms;
      },
    },
    random: seededRandom(1),
    onRetry: (_reason: string, waitMs: number) => void waits.push(waitMs),
    async post(body: string) {
      bodies.push(body);
      const answer = answers[Math.min(bodies.length, answers.length) - 1];
      if (answer === undefined || answer instanceof Error) throw answer;
      return answer;
    },
  };
  return { deps, bodies, waits };
}

const OK: Answer = { status: 202, retryAfter: undefined, body: '{"accepted":1,"rejected":[]}' };
const options = { giveUpAfterMs: 60_000, signal: new AbortController().signal };

describe('sending a batch', () => {
  it('gives back what was rejected', async () => {
    const rejected = [{ index: 0, code: 'NO_KEYS', message: 'm' }];
    const h = harness([{ ...OK, body: JSON.stringify({ accepted: 0, rejected }) }]);
    expect(await sendBatch([{}], h.deps, options)).toEqual({ kind: 'accepted', rejected });
  });

  it('waits as long as Retry-After says and sends the same bytes', async () => {
    const h = harness([
      { status: 429, retryAfter: '3', body: '' },
      { status: 503, retryAfter: '1', body: '' },
      OK,
    ]);
    expect(await sendBatch([{ messageId: 'm' }], h.deps, options)).toMatchObject({ kind: 'accepted' });
    expect(h.waits).toEqual([3000, 1000]);
    expect(new Set(h.bodies).size).toBe(1);
  });

  it('backs off when nobody answers', async () => {
    const h = harness([
      new Error('refused'),
      new Error('reset'),
      { status: 500, retryAfter: undefined, body: '' },
      OK,
    ]);
    expect(await sendBatch([{}], h.deps, options)).toMatchObject({ kind: 'accepted' });
    expect(h.waits).toHaveLength(3);
    expect(Math.max(...h.waits)).toBeLessThanOrEqual(5050);
  });

  it('does not try again what will never be taken', async () => {
    const h = harness([{ status: 401, retryAfter: undefined, body: 'no' }]);
    expect(await sendBatch([{}], h.deps, options)).toEqual({ kind: 'refused', status: 401, body: 'no' });
    expect(h.bodies).toHaveLength(1);
  });

  it('gives up in time', async () => {
    const h = harness([new Error('refused')]);
    const error = await sendBatch([{}], h.deps, { ...options, giveUpAfterMs: 5000 }).catch(
      (thrown: unknown) => thrown,
    );
    expect(isStitchworkError(error, 'LOG_UNAVAILABLE')).toBe(true);
    expect(h.waits.reduce((sum, wait) => sum + wait, 0)).toBeLessThanOrEqual(5000);
  });
});
