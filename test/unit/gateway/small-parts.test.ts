import { describe, expect, it } from 'vitest';
import { keyOf } from '../../../gateway/http/auth.ts';
import { createByteBudget, REQUEST_BASE_BYTES } from '../../../gateway/http/byte-budget.ts';
import { withDeadline } from '../../../gateway/http/deadline.ts';
import { bodyFormOf } from '../../../gateway/http/media-type.ts';
import { completeSettings } from '../../../gateway/settings.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';

describe('bodyFormOf', () => {
  it.each([
    [undefined, 'json'],
    ['application/json', 'json'],
    ['application/json;charset=UTF-8', 'json'],
    ['text/plain; charset="utf-8"', 'json'],
    ['application/x-www-form-urlencoded', 'json'],
    ['application/vnd.treasuredata.v1+json', 'json'],
    ['Application/X-NDJSON', 'lines'],
    ['application/jsonl', 'lines'],
  ])('%s: %s', (header, form) => {
    expect(bodyFormOf(header)).toBe(form);
  });

  it.each(['image/png', 'multipart/form-data; boundary=x', 'application/json; charset=utf-16', 'json'])(
    'refuses %s',
    (header) => {
      expect(() => bodyFormOf(header)).toThrowError(
        expect.objectContaining({ code: 'UNSUPPORTED_MEDIA_TYPE' }),
      );
    },
  );
});

describe('keyOf', () => {
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
  it.each([
    ['Bearer abc', 'abc'],
    ['bearer  abc ', 'abc'],
    [basic('abc:'), 'abc'],
    [basic('abc:ignored:too'), 'abc'],
    [basic('abc'), 'abc'],
    [basic(':password'), undefined],
    ['Bearer', undefined],
    ['Bearer a b', undefined],
    ['TD1 abc', undefined],
    [undefined, undefined],
  ])('%j: %j', (header, key) => {
    expect(keyOf(header)).toBe(key);
  });
});

describe('byte budget', () => {
  it('refuses what does not fit, and gives back all that a lease holds, once', () => {
    const budget = createByteBudget(REQUEST_BASE_BYTES * 2 + 100);
    const first = budget.open();
    first.grow(60);
    const second = budget.open();
    second.grow(40);
    expect(() => first.grow(1)).toThrowError(expect.objectContaining({ code: 'OVERLOADED' }));
    expect(() => budget.open()).toThrowError(expect.objectContaining({ code: 'OVERLOADED' }));
    second.shrink(40);
    first.grow(1);
    first.release();
    first.release();
    second.release();
    expect(budget.bytesInFlight).toBe(0);
  });
});

describe('withDeadline', () => {
  it('rejects with its code when the work takes longer', async () => {
    const deadline = { clock: systemClock, ms: 5, code: 'STORE_UNAVAILABLE' } as const;
    await expect(withDeadline(new Promise(() => {}), deadline)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
  });

  it('passes results and failures on and leaves no timer behind', async () => {
    let aborted = 0;
    const clock = {
      nowMs: () => 0,
      elapsedMs: () => 0,
      sleep: (_ms: number, signal?: AbortSignal) =>
        new Promise<void>((_resolve, reject) => {
          signal?.addEventListener('abort', () => {
            aborted++;
            reject(new Error('aborted'));
          });
        }),
    };
    const deadline = { clock, ms: 5, code: 'STORE_UNAVAILABLE' } as const;
    await expect(withDeadline(Promise.resolve(7), deadline)).resolves.toBe(7);
    await expect(withDeadline(Promise.reject(new Error('own')), deadline)).rejects.toThrow('own');
    expect(aborted).toBe(2);
  });
});

describe('settings', () => {
  it('needs a key', () => {
    expect(() => completeSettings({ writeKeys: [], adminKeys: [] })).toThrow('no write key and no admin key');
  });

  it('lists every problem and never a key', () => {
    const wrong = () =>
      completeSettings({ writeKeys: ['secret', ''], adminKeys: [], bytesInFlightMax: -1, closeGraceMs: 0.5 });
    expect(wrong).toThrow(/an empty key.*bytesInFlightMax.*closeGraceMs/);
    expect(wrong).not.toThrow(/secret/);
  });
});
