// Evidence over HTTP: why keys are one person, and what events would do.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Link } from '../../../actors/profile/profile.ts';
import { encodeRecord } from '../../../actors/profile/record-codec.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { ADMIN_KEY, errorCode, startGateway, type TestGateway, WRITE_KEY } from './support/harness.ts';
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

const linkKey = recordKeys.link('email', 'ann@example.com');

describe('GET …/identity', () => {
  beforeEach(() => {
    const link: Link = {
      ...makeLink('p1'),
      past: [{ profileId: 'p0', untilMs: 5000 }],
      profiles: ['p0', 'p1'],
    };
    store(linkKey, link);
    store(recordKeys.profile('p1'), {
      ...makeProfile('p1', { email: ['ann@example.com'] }),
      mergedFrom: ['p2'],
      mergedCount: 1,
      apart: [{ profileId: 'p9', atMs: 7000 }],
      observed: { ga: ['g1'] },
    });
    store(recordKeys.profile('p2'), {
      ...makeRedirect('p1'),
      was: { createdAtMs: 1000, keys: { anonymous_id: ['a1'] } },
    });
  });

  it.each(['/v1/profiles/email/ANN@example.com/identity', '/v1/profiles/id/p2/identity'])(
    '%s',
    async (url) => {
      const answer = await gateway.get(url);
      expect(answer.statusCode).toBe(200);
      expect(answer.json()).toMatchObject({
        profileId: 'p1',
        keys: [
          {
            name: 'email',
            value: 'ann@example.com',
            kind: 'contact',
            link: { past: [{ profileId: 'p0', until: '1970-01-01T00:00:05.000Z' }], profiles: ['p0', 'p1'] },
          },
        ],
        moreKeys: 0,
        merges: [{ from: 'p2', keys: { anonymous_id: ['a1'] } }],
        apart: [{ profileId: 'p9', at: '1970-01-01T00:00:07.000Z' }],
        observed: { ga: ['g1'] },
      });
    },
  );

  it('is for admin keys, and of profiles that there are', async () => {
    expect((await gateway.get('/v1/profiles/email/ann@example.com/identity', WRITE_KEY)).statusCode).toBe(
      403,
    );
    const none = await gateway.get('/v1/profiles/email/bob@example.com/identity');
    expect([none.statusCode, errorCode(none)]).toEqual([404, 'PROFILE_NOT_FOUND']);
  });
});

describe('POST /v1/identity/simulate', () => {
  const events = [
    { messageId: 'a', name: 'v', keys: { anonymous_id: 'a1' } },
    { messageId: 'b', name: 'v', keys: { anonymous_id: 'a1', email: 'Ann@Example.com' } },
    { messageId: 'c', name: 'v' },
  ];
  const simulate = (query = '') =>
    gateway.post(JSON.stringify(events), { path: '/v1/identity/simulate', query, key: ADMIN_KEY });

  it('tells what the events would do, and stores none', async () => {
    const answer = await simulate();
    expect(answer.statusCode).toBe(200);
    const { events: told, rejected, profiles } = answer.json();
    expect(told.map(({ index }: { index: number }) => index)).toEqual([0, 1]);
    expect(told[0].profileId).toBe(told[1].profileId);
    expect(rejected).toMatchObject([{ index: 2, code: 'NO_KEYS' }]);
    expect(profiles).toMatchObject([{ keys: { anonymous_id: ['a1'], email: ['ann@example.com'] } }]);
    expect(gateway.segment.appender.requests).toEqual([]);
  });

  it('starts from what is stored when asked', async () => {
    store(linkKey, makeLink('p1'));
    const recent = { lastEventAtMs: Date.now() };
    store(recordKeys.profile('p1'), { ...makeProfile('p1', { email: ['ann@example.com'] }), ...recent });
    const { events: told } = (await simulate('?from=live')).json();
    expect(told[1].profileId).toBe('p1');
    expect(told[1].facts).toContainEqual(expect.objectContaining({ kind: 'profiles_merged', into: 'p1' }));
  });
});
