// GET /v1/activations: decisions and attempts as one log, newest first; filters, where the next goes on, wrong questions.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeRecord } from '../../../actors/profile/record-codec.ts';
import type { DeliveryEntry } from '../../../shared/contract/delivery.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import type { Activation } from '../../../shared/contract/outbox.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import { StitchworkError } from '../../../shared/kernel/errors.ts';
import { expectDescribed } from './support/described.ts';
import type { FakeAudit } from './support/fake-audit.ts';
import {
  errorCode,
  makeSegment,
  startGateway,
  type TestGateway,
  type TestSegment,
  WRITE_KEY,
} from './support/harness.ts';
import { makeRedirect } from './support/records.ts';

const NOW_MS = Date.parse('2026-11-22T12:00:00Z');

let segment: TestSegment;
let gateway: TestGateway;
beforeEach(async () => {
  segment = makeSegment();
  gateway = await startGateway({ readDeadlineMs: 200 }, [segment], { ...systemClock, nowMs: () => NOW_MS });
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

function put(log: FakeAudit, timeMs: number, body: object): void {
  log.messages.push({
    sequence: log.messages.length + 1,
    timeMs,
    payload: Buffer.from(JSON.stringify(body)),
  });
}

function decide(id: string, timeMs: number, more: Partial<Activation> = {}): void {
  const cause = { trigger: 't', event: 'bought', messageId: `m-${id}` };
  const at = new Date(timeMs).toISOString();
  const whole = {
    id,
    name: 'mail',
    segment: 'shop',
    profileId: 'p1',
    keys: { email: 'a@b.c' },
    payload: { n: 1 },
    to: ['crm'],
    cause,
    at,
    configVersion: 2,
  };
  put(segment.decisions, timeMs, { ...whole, ...more });
}

function attempt(activationId: string, timeMs: number, more: Partial<DeliveryEntry> = {}): void {
  const at = new Date(timeMs).toISOString();
  const whole = {
    activationId,
    name: 'mail',
    segment: 'shop',
    destination: 'crm',
    profileId: 'p1',
    cause: { messageId: `m-${activationId}` },
    outcome: 'delivered',
    attempt: 1,
    status: 200,
    latencyMs: 12,
    at,
    decidedAt: at,
    by: 'host-1',
  };
  put(segment.deliveries, timeMs, { ...whole, ...more });
}

async function ask(query = '') {
  const response = await gateway.get(`/v1/activations${query}`);
  expect(response.statusCode, response.body).toBe(200);
  await expectDescribed(gateway, '/v1/activations', response);
  return response.json();
}

type Told = { kind: string; activationId: string; attempt?: number };
const told = async (query = '') =>
  (await ask(query)).entries.map(({ kind, activationId, attempt: number }: Told) =>
    kind === 'decided' ? `${activationId} decided` : `${activationId} attempt ${number}`,
  );

describe('GET /v1/activations', () => {
  it('answers decisions and attempts whole, newest first', async () => {
    decide('a1', 10);
    decide('a2', 20);
    attempt('a1', 15, {
      outcome: 'retrying',
      status: 500,
      error: 'answered 500',
      nextAt: new Date(25).toISOString(),
    });
    attempt('a1', 25, { attempt: 2 });
    expect(await told()).toEqual(['a1 attempt 2', 'a2 decided', 'a1 attempt 1', 'a1 decided']);
    const { entries, ...rest } = await ask();
    expect(rest).toEqual({ segment: 'shop', complete: true, scanned: 4 });
    expect(entries[1]).toEqual({
      kind: 'decided',
      activationId: 'a2',
      name: 'mail',
      profileId: 'p1',
      keys: { email: 'a@b.c' },
      payload: { n: 1 },
      to: ['crm'],
      cause: { trigger: 't', event: 'bought', messageId: 'm-a2' },
      at: '1970-01-01T00:00:00.020Z',
      writtenAt: '1970-01-01T00:00:00.020Z',
      configVersion: 2,
    });
    expect(entries[2]).toMatchObject({
      kind: 'attempt',
      outcome: 'retrying',
      status: 500,
      error: 'answered 500',
      by: 'host-1',
    });
  });

  it.each([
    ['?id=a1', ['a1 attempt 1', 'a1 decided']],
    ['?name=push', ['a2 decided']],
    ['?destination=crm', ['a3 attempt 3', 'a1 attempt 1', 'a3 decided', 'a1 decided']],
    ['?destination=bus', ['a2 decided']],
    ['?outcome=decided', ['a3 decided', 'a2 decided', 'a1 decided']],
    ['?outcome=failed,retrying', ['a3 attempt 3']],
    ['?messageId=m-a3', ['a3 attempt 3', 'a3 decided']],
    ['?profile=p9', ['a3 decided']],
    ['?from=1970-01-01T00:00:00.035Z', ['a3 attempt 3', 'a1 attempt 1']],
    ['?to=1970-01-01T00:00:00.025Z', ['a2 decided', 'a1 decided']],
  ])('answers what %s asks for', async (query, expected) => {
    decide('a1', 10);
    decide('a2', 20, { name: 'push', to: ['bus'], profileId: 'p2' });
    decide('a3', 30, { profileId: 'p9' });
    attempt('a1', 40);
    attempt('a3', 50, { outcome: 'failed', reason: 'attempts', attempt: 3 });
    expect(await told(query)).toEqual(expected);
  });

  it('takes a retired profile for the one that it became part of', async () => {
    const key = recordKeys.profile('old');
    segment.store.leader.set(key, encodeRecord(key, makeRedirect('p1')));
    decide('a1', 10);
    expect(await told('?profile=old')).toEqual(['a1 decided']);
  });

  it('goes on where the answer before ended, each entry once', async () => {
    for (let n = 0; n < 30; n++) {
      decide(`a${n}`, n * 10);
      attempt(`a${n}`, n * 10 + 5);
    }
    const all: string[] = [];
    for (let next: string | undefined, first = true; next !== undefined || first; first = false) {
      const answer = await ask(`?limit=7${next === undefined ? '' : `&next=${next}`}`);
      all.push(...answer.entries.map(({ kind, activationId }: Told) => `${kind} ${activationId}`));
      next = answer.next;
    }
    expect(all).toHaveLength(60);
    expect(new Set(all).size).toBe(60);
    expect(all.slice(0, 3)).toEqual(['attempt a29', 'decided a29', 'attempt a28']);
  });

  it('says what is wrong with a question, all at once', async () => {
    const response = await gateway.get('/v1/activations?outcome=deliverd&limit=0&name=Mail&next=x');
    expect(response.statusCode).toBe(400);
    const { message, details } = response.json().error;
    expect(message).toContain("did you mean 'delivered'?");
    expect(details).toHaveLength(4);
  });

  it('needs an admin key, and a store that answers', async () => {
    expect(errorCode(await gateway.get('/v1/activations', WRITE_KEY))).toBe('FORBIDDEN');
    segment.deliveries.failure = () => Promise.reject(new StitchworkError('STORE_UNAVAILABLE'));
    expect(errorCode(await gateway.get('/v1/activations'))).toBe('STORE_UNAVAILABLE');
  });
});
