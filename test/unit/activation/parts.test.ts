// The parts of deliveries that need no receiver: what follows an attempt, the breaker, the pace, addresses, signatures,
// secrets.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAddressRule } from '../../../actors/activation/address-rule.ts';
import {
  afterFailure,
  afterSuccess,
  atTime,
  type BreakerState,
  CLOSED,
  FAILURES_MAX,
} from '../../../actors/activation/breaker.ts';
import type { Outcome } from '../../../actors/activation/destination.ts';
import { Secrets } from '../../../actors/activation/environment.ts';
import { Pace } from '../../../actors/activation/pace.ts';
import { afterAttempt } from '../../../actors/activation/retry.ts';
import { retryAfterMs } from '../../../actors/activation/retry-after.ts';
import { secretBytes, signatures } from '../../../actors/activation/sign.ts';
import { NO_ATTEMPTS } from '../../../shared/contract/delivery.ts';
import { seededRandom } from '../../../shared/kernel/random.ts';

const HOUR = 3_600_000;
const config = { attempts: 3, baseMs: 1000, maxMs: 60_000, maxAgeMs: HOUR };
const refused: Outcome = { kind: 'refused', error: 'answered 500' };
const unavailable: Outcome = { kind: 'unavailable', error: 'ECONNREFUSED' };
const fixed = (value: number) => ({ next: () => value });
const step = (outcome: Outcome, past = NO_ATTEMPTS, ageMs = 0, random = fixed(0.999)) =>
  afterAttempt(outcome, past, { config, ageMs, random });

describe('after an attempt', () => {
  it('that succeeded there is none, after one that was rejected neither', () => {
    expect(step({ kind: 'delivered' })).toEqual({ kind: 'done' });
    expect(step({ kind: 'rejected', error: 'answered 400' })).toEqual({ kind: 'dead', reason: 'rejected' });
  });

  it('that was refused there is another one, as often as the config says', () => {
    const first = step(refused);
    expect(first).toMatchObject({ kind: 'again', past: { attempts: 1, refusals: 1 } });
    expect(step(refused, { attempts: 2, refusals: 2 })).toEqual({ kind: 'dead', reason: 'attempts' });
  });

  it('that nobody took the number of attempts stays', () => {
    expect(step(unavailable, { attempts: 90, refusals: 2 })).toMatchObject({
      kind: 'again',
      past: { attempts: 91, refusals: 2 },
    });
  });

  it('the wait doubles up to its limit, half of it by chance, and never ends beyond the age', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1 }),
        fc.integer({ min: 0, max: 50 }),
        fc.integer({ min: 0, max: HOUR }),
        fc.integer(),
        (refusals, more, ageMs, seed) => {
          const attempts = refusals + more;
          const next = step(refused, { attempts, refusals }, ageMs, seededRandom(seed));
          const whole = Math.min(config.maxMs, config.baseMs * 2 ** attempts);
          if (next.kind !== 'again') {
            expect(ageMs + whole).toBeGreaterThan(config.maxAgeMs);
            return;
          }
          expect(next.afterMs).toBeGreaterThanOrEqual(whole / 2);
          expect(next.afterMs).toBeLessThanOrEqual(whole);
          expect(ageMs + next.afterMs).toBeLessThanOrEqual(config.maxAgeMs);
        },
      ),
    );
  });

  it('the receiver says how long, within the limit', () => {
    expect(step({ ...unavailable, retryAfterMs: 20_000 })).toMatchObject({ afterMs: 20_000 });
    expect(step({ ...unavailable, retryAfterMs: HOUR })).toMatchObject({ afterMs: config.maxMs });
  });

  it('that would come too late is none', () => {
    expect(step(unavailable, NO_ATTEMPTS, HOUR - 100)).toEqual({ kind: 'dead', reason: 'too_old' });
  });
});

describe('the breaker', () => {
  const fail = (state: BreakerState, nowMs: number, askedMs = 0) =>
    afterFailure(state, { nowMs, askedMs, random: fixed(0.5) });

  it('opens after failures in a row, not after as many with a success between', () => {
    let state: BreakerState = CLOSED;
    for (let n = 1; n < FAILURES_MAX; n++) state = fail(state, 0);
    expect(state.kind).toBe('closed');
    expect(fail(afterSuccess(state), 0).kind).toBe('closed');
    expect(fail(state, 0).kind).toBe('open');
  });

  it('tries when its time is up, waits longer after each failure, closes with a success', () => {
    let state: BreakerState = { kind: 'open', untilMs: 1000, opened: 1 };
    expect(atTime(state, 999)).toBe(state);
    const waits: number[] = [];
    let nowMs = 1000;
    for (let n = 0; n < 10; n++) {
      state = fail(atTime(state, nowMs), nowMs);
      if (state.kind !== 'open') throw new Error(state.kind);
      waits.push(state.untilMs - nowMs);
      nowMs = state.untilMs;
    }
    expect(waits.slice(0, 3)).toEqual([1500, 3000, 6000]);
    expect(Math.max(...waits)).toBeLessThanOrEqual(60_000);
    expect(afterSuccess(atTime(state, nowMs))).toEqual(CLOSED);
  });

  it('opens at once for as long as the receiver asks', () => {
    expect(fail(CLOSED, 100, 5000)).toEqual({ kind: 'open', untilMs: 5100, opened: 1 });
    expect(fail({ kind: 'open', untilMs: 900, opened: 2 }, 100, 5000)).toEqual({
      kind: 'open',
      untilMs: 5100,
      opened: 2,
    });
  });
});

describe('a pace', () => {
  it('never lets more through in any stretch than its rate and a second of it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 2, maxLength: 200 }),
        (count, gaps) => {
          const pace = new Pace(count, 1000);
          let nowMs = 0;
          const starts = gaps.map((gap) => {
            nowMs += gap;
            return nowMs + pace.take(nowMs);
          });
          for (const [i, from] of starts.entries()) {
            const within = starts.filter((at, j) => j >= i && at < from + 1000 - 1e-6).length;
            expect(within).toBeLessThanOrEqual(2 * count);
          }
          const [first, last] = [starts[0]!, Math.max(...starts)];
          expect(starts.length - 1).toBeLessThanOrEqual(((last - first) / 1000) * count + count);
        },
      ),
    );
  });

  it('waits for no one when little comes', () => {
    const pace = new Pace(10, 1000);
    expect([0, 100, 200, 5000].map((at) => pace.take(at))).toEqual([0, 0, 0, 0]);
  });
});

describe('an address', () => {
  const rule = createAddressRule([]);
  it.each([
    '8.8.8.8',
    '1.1.1.1',
    '172.15.0.1',
    '172.32.0.1',
    '2606:4700::1111',
    '::ffff:8.8.8.8',
    '[2606:4700::1111]',
  ])('%s is of the public internet', (address) => expect(rule.allows(address)).toBe(true));
  it.each([
    '127.0.0.1',
    '127.8.8.8',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '198.18.0.1',
    '::1',
    '::',
    'fe80::1',
    'fe80::1%eth0',
    'fd00::1',
    'ff02::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:a9fe:a9fe',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:db8::1',
    '2001::1',
    'localhost',
    '',
  ])('%s is not', (address) => expect(rule.allows(address)).toBe(false));

  it('may be allowed by its network, and others are not by that', () => {
    const some = createAddressRule(['10.1.0.0/16', '::1', 'fd00:1::/32']);
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '::1', 'fd00:1::5'])
      expect(some.allows(address)).toBe(true);
    for (const address of ['10.2.0.1', '127.0.0.1', 'fd00:2::5', '::2'])
      expect(some.allows(address)).toBe(false);
  });

  it.each(['10.0.0.0/33', 'intranet', '10.0.0/8', '::/129', '10.0.0.0/x'])('%s is no network', (network) => {
    expect(() => createAddressRule([network])).toThrow(/is no network/);
  });
});

describe('a signature', () => {
  it('is that of Standard Webhooks', () => {
    const message = {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestamp: 1614265330,
      body: '{"test": 2432232314}',
    };
    const secret = secretBytes('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
    expect(signatures(message, [secret])).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  });
});

describe('secrets', () => {
  const secrets = new Secrets({ TOKEN: 'token-4711', PIN: '12', BAD: 'a{{b', EMPTY: '' });

  it('are filled in, and taken out of what is told', () => {
    expect(secrets.fill(`Bearer \${TOKEN}, \${PIN}`)).toBe('Bearer token-4711, 12');
    expect(secrets.redact('you sent token-4711 at 12:12')).toBe('you sent *** at 12:12');
  });

  it('that are missing are told by name, and a value that would be a template without it', () => {
    expect(() => secrets.fill(`\${NONE} \${EMPTY} \${TOKEN}`)).toThrow(
      'not set in the environment of the activator: NONE, EMPTY',
    );
    expect(() => secrets.fill(`\${BAD}`)).toThrow(/^the value of BAD holds/);
  });
});

describe('Retry-After', () => {
  const nowMs = Date.parse('2026-11-22T12:00:00Z');
  it.each([
    ['120', 120_000],
    ['0', 0],
    ['Sun, 22 Nov 2026 12:01:00 GMT', 60_000],
    ['Sun, 22 Nov 2026 11:00:00 GMT', 0],
    ['soon', undefined],
    ['-5x', undefined],
    [undefined, undefined],
  ])('%s is %s ms', (value, expected) => expect(retryAfterMs(value, nowMs)).toBe(expected));
});
