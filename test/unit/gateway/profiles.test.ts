// GET /v1/profiles: keys as on the way in, redirects, stale replicas.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeRecord } from '../../../actors/profile/record-codec.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { StitchworkError } from '../../../shared/kernel/errors.ts';
import { configOf } from '../profile/harness.ts';
import {
  ADMIN_KEY,
  errorCode,
  makeSegment,
  startGateway,
  type TestGateway,
  WRITE_KEY,
} from './support/harness.ts';
import { makeLink, makeProfile, makeRedirect } from './support/records.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway({ readDeadlineMs: 200 });
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

function store(key: string, state: unknown): void {
  gateway.segment.store.leader.set(key, encodeRecord(key, state));
}

function staleRead(key: string, state: unknown): void {
  gateway.segment.store.stale.set(key, state === null ? null : encodeRecord(key, state));
}

const linkKey = recordKeys.link('email', 'ann@example.com');
const P = recordKeys.profile;

describe('by key', () => {
  beforeEach(() => {
    store(linkKey, makeLink('p1'));
    store(P('p1'), makeProfile('p1', { email: ['ann@example.com'] }));
  });

  it.each(['ann@example.com', 'ann%40example.com', '%20ANN%40Example.com%20'])('finds %s', async (value) => {
    const answer = await gateway.get(`/v1/profiles/email/${value}`);
    expect([answer.statusCode, answer.json().id]).toEqual([200, 'p1']);
  });

  it('finds values of any script, with slashes, and longer than a subject token', async () => {
    for (const value of ['имя/名前@x.y', `${'é'.repeat(500)}@x.y`]) {
      store(recordKeys.link('email', value), makeLink('p1'));
      store(P('p1'), makeProfile('p1', { email: [value] }));
      const answer = await gateway.get(`/v1/profiles/email/${encodeURIComponent(value)}`);
      expect(answer.statusCode).toBe(200);
    }
  });

  it('answers 404 when there is no such key', async () => {
    const answer = await gateway.get('/v1/profiles/email/bob@example.com');
    expect([answer.statusCode, errorCode(answer)]).toEqual([404, 'PROFILE_NOT_FOUND']);
  });

  it('suggests the key name that was meant', async () => {
    const near = await gateway.get('/v1/profiles/emails/ann@example.com');
    expect([near.statusCode, errorCode(near)]).toEqual([400, 'UNKNOWN_KEY_NAME']);
    expect(near.json().error.message).toContain("Did you mean 'email'?");
    const far = await gateway.get('/v1/profiles/shoe_size/44');
    expect(far.json().error.message).toContain('customer_id, email, anonymous_id');
  });

  it('refuses values that an event could not bring in', async () => {
    for (const value of ['guest', 'not-an-address']) {
      const answer = await gateway.get(`/v1/profiles/email/${value}`);
      expect([answer.statusCode, errorCode(answer)]).toEqual([400, 'INVALID_KEY_VALUE']);
    }
  });

  it('says why a value is not usable', async () => {
    const { error } = (await gateway.get('/v1/profiles/email/guest')).json();
    expect(error.message).toBe('The value is not usable as email: a value that identifies nobody.');
    expect(error.details).toEqual([{ reason: 'junk' }]);
  });

  it('finds nobody by a key that is only observed, and says which keys find', async () => {
    await gateway[Symbol.asyncDispose]();
    const keys = '{ keys: [{ name: email, limit: 5 }, { name: ad_id, observe_only: true }] }';
    gateway = await startGateway({}, [makeSegment('shop', configOf('', keys))]);
    const answer = await gateway.get('/v1/profiles/ad_id/abc');
    expect([answer.statusCode, errorCode(answer)]).toEqual([400, 'UNKNOWN_KEY_NAME']);
    expect(answer.json().error.message).toContain("'ad_id' is only observed (observe_only)");
    expect(answer.json().error.message).toContain('The config has: email.');
    expect(gateway.segment.store.reads).toEqual([]);
    expect(errorCode(await gateway.get('/v1/profiles/ad_id/null'))).toBe('INVALID_KEY_VALUE');
  });

  it('follows redirects, and stops in a circle', async () => {
    store(P('p1'), makeRedirect('p2'));
    store(P('p2'), makeRedirect('p3'));
    store(P('p3'), makeProfile('p3', { email: ['ann@example.com'] }));
    expect((await gateway.get('/v1/profiles/email/ann@example.com')).json().id).toBe('p3');
    store(P('p3'), makeRedirect('p1'));
    const circle = await gateway.get('/v1/profiles/email/ann@example.com');
    expect([circle.statusCode, errorCode(circle)]).toEqual([500, 'RECORD_DAMAGED']);
    expect(gateway.logged.join()).toContain('redirects');
  });

  it('asks the leader once when replicas contradict one another', async () => {
    staleRead(P('p1'), null);
    expect((await gateway.get('/v1/profiles/email/ann@example.com')).json().id).toBe('p1');
    expect(gateway.segment.store.reads.map((r) => r.from)).toEqual([
      'replica',
      'replica',
      'leader',
      'leader',
    ]);
  });

  it('a stale link that still leads to the right profile by its redirect is good enough', async () => {
    staleRead(linkKey, makeLink('p0'));
    store(P('p0'), makeRedirect('p1'));
    expect((await gateway.get('/v1/profiles/email/ann@example.com')).json().id).toBe('p1');
  });

  it('does not answer with a profile that a stale link names and that no longer has the key', async () => {
    staleRead(linkKey, makeLink('p9'));
    store(P('p9'), makeProfile('p9', { email: ['other@example.com'] }));
    expect((await gateway.get('/v1/profiles/email/ann@example.com')).json().id).toBe('p1');
  });

  it('says so when the leader has a link to nowhere', async () => {
    gateway.segment.store.leader.delete(P('p1'));
    const answer = await gateway.get('/v1/profiles/email/ann@example.com');
    expect([answer.statusCode, errorCode(answer)]).toEqual([500, 'RECORD_DAMAGED']);
  });
});

describe('by id', () => {
  it('finds a profile, and the survivor of a retired one', async () => {
    store(P('p1'), makeProfile('p1', {}));
    store(P('p0'), makeRedirect('p1'));
    expect((await gateway.get('/v1/profiles/id/p1')).json().id).toBe('p1');
    expect((await gateway.get('/v1/profiles/id/p0')).json().id).toBe('p1');
  });

  it.each(['p7', 'a.b', '%3E', '*', 'x'.repeat(65), '%00'])('answers 404 to %s', async (id) => {
    const answer = await gateway.get(`/v1/profiles/id/${id}`);
    expect([answer.statusCode, errorCode(answer)]).toEqual([404, 'PROFILE_NOT_FOUND']);
  });

  it('is 503 when the store cannot be reached or hangs', async () => {
    gateway.segment.store.failure = async () => {
      throw new StitchworkError('STORE_UNAVAILABLE', 'no server');
    };
    const answer = await gateway.get('/v1/profiles/id/p1');
    expect([answer.statusCode, errorCode(answer), answer.headers['retry-after']]).toEqual([
      503,
      'STORE_UNAVAILABLE',
      '2',
    ]);
    gateway.segment.store.failure = () => new Promise(() => {});
    expect(errorCode(await gateway.get('/v1/profiles/id/p1'))).toBe('STORE_UNAVAILABLE');
  });

  it('shows nothing of an unexpected error but the request id, under which it is logged', async () => {
    gateway.segment.store.failure = async () => {
      throw new TypeError('secret detail');
    };
    const answer = await gateway.get('/v1/profiles/id/p1');
    expect([answer.statusCode, errorCode(answer)]).toEqual([500, 'INTERNAL']);
    expect(answer.body).not.toContain('secret');
    const { requestId } = answer.json().error.details[0];
    expect(answer.headers['x-request-id']).toBe(requestId);
    expect(gateway.logged.join()).toContain('secret detail');
    expect(gateway.logged.join()).toContain(requestId);
  });
});

describe('addresses and access', () => {
  it('needs an admin key', async () => {
    const none = await gateway.get('/v1/profiles/id/p1', null);
    expect([none.statusCode, errorCode(none)]).toEqual([401, 'UNAUTHORIZED']);
    const write = await gateway.get('/v1/profiles/id/p1', WRITE_KEY);
    expect([write.statusCode, errorCode(write)]).toEqual([403, 'FORBIDDEN']);
  });

  it('refuses addresses that cannot be decoded or are too long', async () => {
    for (const url of ['/v1/profiles/email/%zz', `/v1/profiles/email/${'x'.repeat(5000)}`]) {
      const answer = await gateway.get(url);
      expect([answer.statusCode, errorCode(answer)]).toEqual([400, 'BAD_REQUEST']);
    }
  });

  it('reads from the segment that is named', async () => {
    await gateway[Symbol.asyncDispose]();
    gateway = await startGateway({}, [makeSegment('shop'), makeSegment('club')]);
    expect(errorCode(await gateway.get('/v1/profiles/id/p1'))).toBe('BAD_REQUEST');
    expect(errorCode(await gateway.get('/v1/profiles/id/p1?segment=club', ADMIN_KEY))).toBe(
      'PROFILE_NOT_FOUND',
    );
    expect(gateway.segments.map((s) => s.store.reads.length)).toEqual([0, 1]);
  });
});
