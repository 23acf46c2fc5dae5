// GET /v1/audit: filters, how far a request looks, where the next goes on, and what it says of a wrong question.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeRecord } from '../../../actors/profile/record-codec.ts';
import { searchAudit } from '../../../gateway/audit/search-audit.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import type { AuditFact } from '../../../shared/contract/outbox.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import { StitchworkError } from '../../../shared/kernel/errors.ts';
import { expectDescribed } from './support/described.ts';
import { type FakeAudit, fakeAudit } from './support/fake-audit.ts';
import {
  errorCode,
  makeSegment,
  startGateway,
  type TestGateway,
  type TestSegment,
  WRITE_KEY,
} from './support/harness.ts';
import { makeProfile, makeRedirect } from './support/records.ts';

const NOW_MS = Date.parse('2026-11-22T12:00:00Z');
const HOUR_MS = 3_600_000;
const email = (value: string) => ({ name: 'email', value });

let segment: TestSegment;
let audit: FakeAudit;
let gateway: TestGateway;
beforeEach(async () => {
  segment = makeSegment();
  audit = segment.audit;
  gateway = await startGateway({ readDeadlineMs: 200 }, [segment], { ...systemClock, nowMs: () => NOW_MS });
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

async function ask(query = '') {
  const response = await gateway.get(`/v1/audit${query}`);
  expect(response.statusCode, response.body).toBe(200);
  await expectDescribed(gateway, '/v1/audit', response);
  return response.json();
}

async function messageIds(query = ''): Promise<readonly string[]> {
  return (await ask(query)).entries.map(({ messageId }: { messageId: string }) => messageId);
}

describe('GET /v1/audit', () => {
  it('answers entries whole, newest first', async () => {
    const facts = [
      { kind: 'key_attached', profileId: 'p1', key: email('ann@x.org') },
      { kind: 'link_refused', key: email('bob@x.org'), reason: 'limit', detail: 'limit of 1', heldBy: 'p2' },
    ] as const;
    audit.add({ facts: [{ kind: 'profile_added' }], messageId: 'first' });
    audit.add({ facts, kind: 'link_refused', profileId: 'p1', messageId: 'second', id: '7-log' }, NOW_MS);
    const { entries, ...rest } = await ask();
    expect(rest).toEqual({ segment: 'shop', complete: true, scanned: 2 });
    expect(entries[0]).toEqual({
      id: '7-log',
      kind: 'link_refused',
      at: '2026-11-22T12:00:00.000Z',
      writtenAt: '2026-11-22T12:00:00.000Z',
      profileId: 'p1',
      messageId: 'second',
      facts,
      configVersion: 1,
    });
    expect(entries[1].messageId).toBe('first');
  });

  it('is empty where nothing was audited', async () => {
    expect(await ask()).toEqual({ segment: 'shop', entries: [], complete: true, scanned: 0 });
  });

  it('goes on by its cursor, each entry once, whatever is added', async () => {
    for (let n = 0; n < 5; n++) audit.add({ facts: [{ kind: 'profile_added' }], messageId: `e${n}` });
    const first = await ask('?limit=2');
    expect(first).toMatchObject({ complete: false, entries: [{ messageId: 'e4' }, { messageId: 'e3' }] });
    audit.add({ facts: [{ kind: 'profile_added' }], messageId: 'later' });
    const second = await ask(`?limit=2&next=${first.next}`);
    expect(second).toMatchObject({ complete: false, entries: [{ messageId: 'e2' }, { messageId: 'e1' }] });
    const third = await ask(`?limit=2&next=${second.next}`);
    expect(third).toMatchObject({ complete: true, entries: [{ messageId: 'e0' }] });
    expect(third.next).toBeUndefined();
  });

  it('reads no more than it answers when nothing is asked for', async () => {
    for (let n = 0; n < 50; n++) audit.add({ facts: [{ kind: 'profile_added' }] });
    await ask('?limit=3');
    expect(audit.reads.map(({ limits }) => limits.messages)).toEqual([3]);
  });

  it('passes over what is no entry', async () => {
    audit.messages.push({ sequence: 1, timeMs: 1, payload: Buffer.from('garbage') });
    audit.messages.push({ sequence: 2, timeMs: 1, payload: Buffer.from('{"facts":1}') });
    audit.messages.push({ sequence: 3, timeMs: 1, payload: Buffer.from('null') });
    audit.add({ facts: [{ kind: 'profile_added' }], messageId: 'sound' });
    expect(await messageIds()).toEqual(['sound']);
  });

  it('is for admins, and tells when the log is out of reach, in time', async () => {
    expect(errorCode(await gateway.get('/v1/audit', WRITE_KEY))).toBe('FORBIDDEN');
    audit.failure = async () => {
      throw new StitchworkError('STORE_UNAVAILABLE');
    };
    const failed = await gateway.get('/v1/audit');
    expect([failed.statusCode, errorCode(failed)]).toEqual([503, 'STORE_UNAVAILABLE']);
    audit.failure = () => new Promise(() => {});
    expect(errorCode(await gateway.get('/v1/audit'))).toBe('STORE_UNAVAILABLE');
  });

  it('of the segment that is named', async () => {
    const other = makeSegment('other');
    other.audit.add({ facts: [{ kind: 'profile_added' }], messageId: 'there' });
    await using both = await startGateway({}, [makeSegment(), other]);
    expect((await both.get('/v1/audit?segment=other')).json()).toMatchObject({
      segment: 'other',
      entries: [{ messageId: 'there' }],
    });
    expect(errorCode(await both.get('/v1/audit'))).toBe('BAD_REQUEST');
    expect(errorCode(await both.get('/v1/audit?segment=none'))).toBe('UNKNOWN_SEGMENT');
  });
});

describe('filters', () => {
  const add = (messageId: string, profileId: string | undefined, ...facts: AuditFact[]) =>
    audit.add({ messageId, profileId, facts });

  it('profile: the entry is of it, or a fact names it', async () => {
    add('own', 'p1', { kind: 'key_attached', profileId: 'p1', key: email('a@x.org') });
    add('merged away', 'p9', { kind: 'profiles_merged', into: 'p9', from: 'p1' });
    add('held', 'p2', { kind: 'link_refused', key: email('a@x.org'), heldBy: 'p1' });
    add('other', 'p2', { kind: 'profile_added', profileId: 'p2' });
    expect(await messageIds('?profile=p1')).toEqual(['held', 'merged away', 'own']);
    expect((await ask('?profile=p1')).profileIds).toEqual(['p1']);
  });

  it('profile: a retired id means its survivor as well, over more than one merge', async () => {
    const put = (id: string, state: unknown) => {
      const key = recordKeys.profile(id);
      segment.store.leader.set(key, encodeRecord(key, state));
    };
    put('old', makeRedirect('mid'));
    put('mid', makeRedirect('new'));
    put('new', makeProfile('new', { email: ['a@x.org'] }));
    add('before', 'old', { kind: 'profile_added', profileId: 'old' });
    add('after', 'new', { kind: 'key_attached', profileId: 'new', key: email('a@x.org') });
    expect(await ask('?profile=old')).toMatchObject({
      profileIds: ['old', 'mid', 'new'],
      entries: [{ messageId: 'after' }, { messageId: 'before' }],
    });
    expect(await messageIds('?profile=new')).toEqual(['after']);
  });

  it('key: normalized as events are, also as one of a profile that was merged', async () => {
    add('attached', 'p1', { kind: 'key_attached', key: email('ann@x.org') });
    add('merged', 'p1', { kind: 'profiles_merged', keys: { email: ['bob@x.org', 'ann@x.org'] } });
    add('same value, other key', 'p1', {
      kind: 'key_attached',
      key: { name: 'customer_id', value: 'ann@x.org' },
    });
    expect(await messageIds('?key=email:%20ANN@x.org')).toEqual(['merged', 'attached']);
  });

  it("key: a value that is nobody's is found where it was rejected", async () => {
    add('rejected', undefined, { kind: 'key_rejected', key: email('guest'), reason: 'junk' });
    expect(await messageIds('?key=email:guest')).toEqual(['rejected']);
  });

  it('key, kind and reason speak of one fact', async () => {
    add(
      'split up',
      'p1',
      { kind: 'key_attached', key: email('ann@x.org') },
      { kind: 'link_refused', key: email('bob@x.org'), reason: 'limit' },
    );
    add('one', 'p1', { kind: 'link_refused', key: email('ann@x.org'), reason: 'apart' });
    expect(await messageIds('?key=email:ann@x.org&kind=link_refused')).toEqual(['one']);
    expect(await messageIds('?kind=link_refused&reason=limit,shared')).toEqual(['split up']);
    expect(await messageIds('?kind=key_attached,link_refused')).toEqual(['one', 'split up']);
    expect(await messageIds('?reason=owner')).toEqual([]);
  });

  it('messageId', async () => {
    add('m-1', 'p1', { kind: 'profile_added' });
    add('m-10', 'p1', { kind: 'profile_added' });
    expect(await messageIds('?messageId=m-1')).toEqual(['m-1']);
  });

  it('since and until: when it was written, to the ms, and no further', async () => {
    for (const hours of [4, 3, 2, 1])
      audit.add({ facts: [{ kind: 'profile_added' }], messageId: `${hours}h` }, NOW_MS - hours * HOUR_MS);
    expect(await messageIds('?from=3h')).toEqual(['1h', '2h', '3h']);
    expect(await messageIds('?to=2h')).toEqual(['3h', '4h']);
    expect(await messageIds('?from=2026-11-22T09:00:00Z&to=2026-11-22T10:00:00.001%2B00:00')).toEqual([
      '2h',
      '3h',
    ]);
    expect(await ask('?from=150m')).toMatchObject({ complete: true, scanned: 2 });
  });

  it('until holds also where the reading begins too late', async () => {
    for (const messageId of ['old', 'new'])
      audit.add({ facts: [{ kind: 'profile_added' }], messageId }, 1000);
    audit.messages[1] = { ...audit.messages[1]!, timeMs: NOW_MS };
    audit.end = async () => 3;
    expect(await ask('?to=1h')).toMatchObject({ scanned: 1, entries: [{ messageId: 'old' }] });
  });

  it.each([
    [
      '?kind=profile_merged',
      "kind: 'profile_merged' is no kind of audit entry; did you mean 'profiles_merged'?",
    ],
    ['?reason=limmit', "reason: 'limmit' is no reason; did you mean 'limit'?"],
    ['?key=ann@x.org', "key: 'ann@x.org' is no key; give name:value, such as email:ann@example.com"],
    ['?key=emaill:ann@x.org', "key: the config declares no stitching key 'emaill'; did you mean 'email'?"],
    ['?from=yesterday', "from: 'yesterday' is no time; give ISO 8601"],
    ['?to=2026-02-30', "to: '2026-02-30' is no time"],
    ['?from=1h&to=2h', "from: not before 'to'"],
    ['?limit=0', "limit: '0' is no whole number from 1 to 1000"],
    ['?limit=1001', "limit: '1001'"],
    ['?next=7', "next: '7' is none; give the next of the answer before"],
    [
      '?profile=email:a',
      "profile: 'email:a' is no profile id; to ask by a stitching key give key=name:value",
    ],
    ['?profil=x', "unknown parameter 'profil'"],
  ])('%s is refused: %s', async (query, message) => {
    const response = await gateway.get(`/v1/audit${query}`);
    expect([response.statusCode, errorCode(response)]).toEqual([400, 'BAD_REQUEST']);
    expect(response.json().error.message).toContain(message);
  });

  it('every problem is told at once', async () => {
    const response = await gateway.get('/v1/audit?kind=x&limit=x&from=x');
    const paths = response.json().error.details.map(({ path }: { path: string }) => path);
    expect(paths).toEqual(['querystring/kind', 'querystring/from', 'querystring/limit']);
  });
});

describe('a search is bounded', () => {
  const search = { filter: { messageId: 'e0' }, sinceMs: undefined, limit: 10 };
  const fill = (count: number) => {
    const log = fakeAudit();
    for (let n = 0; n < count; n++) log.add({ facts: [{ kind: 'profile_added' }], messageId: `e${n}` });
    return log;
  };

  it('by entries: it says where to go on, and loses none', async () => {
    const log = fill(2500);
    const budget = { clock: systemClock, ms: 10_000, entries: 1200 };
    let before = await log.end();
    const found: string[] = [];
    const scanned: number[] = [];
    for (;;) {
      const part = await searchAudit(log, { ...search, before }, budget);
      found.push(...part.entries.map(({ entry }) => entry.messageId!));
      scanned.push(part.scanned);
      if (part.next === undefined) break;
      before = part.next;
    }
    expect(scanned).toEqual([1200, 1200, 100]);
    expect(found).toEqual(['e0']);
    expect(Math.max(...log.reads.map(({ limits }) => limits.messages))).toBe(1000);
  });

  it('by time: no page is begun when it is over', async () => {
    const log = fill(5000);
    let elapsedMs = 0;
    const clock = { ...systemClock, elapsedMs: () => elapsedMs };
    const slow = {
      readBack: async (...args: Parameters<typeof log.readBack>) => {
        elapsedMs += 40;
        return log.readBack(...args);
      },
    };
    const part = await searchAudit(slow, { ...search, before: 5001 }, { clock, ms: 100, entries: 1e6 });
    expect(part).toMatchObject({ scanned: 3000, next: 2001, entries: [] });
  });

  it('by bytes of what it answers', async () => {
    const log = fakeAudit();
    const detail = 'x'.repeat(1_500_000);
    for (let n = 0; n < 5; n++) log.add({ facts: [{ kind: 'condition_failed', detail }] });
    const budget = { clock: systemClock, ms: 10_000, entries: 100 };
    const part = await searchAudit(log, { filter: {}, sinceMs: undefined, before: 6, limit: 5 }, budget);
    expect(part.entries).toHaveLength(3);
    expect(part.next).toBe(3);
  });
});
