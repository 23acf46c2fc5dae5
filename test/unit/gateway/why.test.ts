// GET …/identity?with=: the actor decides real events, and the gateway has to find out from records, audit and log why two
// keys are one profile, or are not.
import { afterEach, describe, expect, it } from 'vitest';
import { encodeRecord } from '../../../actors/profile/record-codec.ts';
import { shortestChain } from '../../../gateway/evidence/link-chain.ts';
import type { IdentityCommand } from '../../../shared/contract/command.ts';
import type { LogEnvelope } from '../../../shared/contract/event.ts';
import type { AuditEntry } from '../../../shared/contract/outbox.ts';
import { configOf, ProfileFold } from '../profile/harness.ts';
import { expectDescribed } from './support/described.ts';
import {
  errorCode,
  makeSegment,
  startGateway,
  type TestGateway,
  type TestSegment,
} from './support/harness.ts';

type Keys = Readonly<Record<string, string>>;

const NOW_MS = Date.now();
const COMMAND_ID = '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b12';

function commandOf(command: IdentityCommand): LogEnvelope {
  const at = new Date(NOW_MS).toISOString();
  return { v: 1, type: 'command', id: COMMAND_ID, by: 'support', at, command };
}

let gateway: TestGateway | undefined;
afterEach(async () => {
  await gateway?.[Symbol.asyncDispose]();
  gateway = undefined;
});

/** What these events leave behind, in a gateway; each is named by its place, m1 being the first. */
async function given(events: readonly Keys[], stitching?: string): Promise<TestSegment> {
  const config = configOf('', stitching);
  const fold = new ProfileFold(config);
  events.forEach((keys, index) => {
    fold.send({ id: `m${index + 1}`, keys }, NOW_MS);
  });
  return serve(fold, events);
}

async function serve(fold: ProfileFold, events: readonly Keys[]): Promise<TestSegment> {
  const segment = makeSegment('shop', fold.config);
  for (const [key, state] of fold.records) segment.store.leader.set(key, encodeRecord(key, state));
  for (const { key, body } of fold.outbox)
    if (key.startsWith('o.audit.')) segment.audit.add(body as AuditEntry);
  segment.log.messageAt = async (sequence) => {
    const keys = events[sequence - 1];
    if (!keys) return undefined;
    const event = { messageId: `m${sequence}`, name: 'Viewed', keys, properties: {} };
    const payload = Buffer.from(JSON.stringify({ v: 1, type: 'event', event }));
    return { shard: 0, source: 'ingest', sequence, timeMs: 0, payload };
  };
  gateway = await startGateway({}, [segment]);
  return segment;
}

async function why(a: string, b: string) {
  const [name, value] = a.split(':');
  const response = await gateway!.get(`/v1/profiles/${name}/${value}/identity?with=${b}`);
  expect(response.statusCode, response.body).toBe(200);
  const answer = response.json();
  await expectDescribed(gateway!, '/v1/profiles/{keyName}/{value}/identity', response, ({ properties }) =>
    [properties?.one?.const, ...(properties?.one?.enum ?? [])].includes(answer.one),
  );
  return answer;
}

interface Step {
  readonly from: { readonly name?: string; readonly value?: string; readonly profileId?: string };
  readonly to: Step['from'];
  readonly by: string;
  readonly messageId?: string;
}
const shown = ({ name, value }: Step['from']) => (name === undefined ? 'profile' : `${name}:${value}`);
const chainOf = (answer: { chain: readonly Step[] }) =>
  answer.chain.map(({ from, to, by, messageId }) => `${shown(from)} ${by} ${messageId ?? '-'} ${shown(to)}`);

const C1 = { customer_id: 'c1' };

describe('two keys of one profile', () => {
  it('one event named both', async () => {
    await given([{ ...C1, device: 'd1' }]);
    const answer = await why('customer_id:c1', 'device:d1');
    expect(answer).toMatchObject({ one: true });
    expect(answer.keys[0].profileId).toBe(answer.keys[1].profileId);
    expect(chainOf(answer)).toEqual(['customer_id:c1 event m1 device:d1']);
  });

  it('over keys that events named one after another, in the fewest steps', async () => {
    await given([
      { device: 'd1' },
      { device: 'd1', email: 'a@x.org' },
      { email: 'a@x.org', ...C1 },
      { ...C1, device: 'd2' },
      { device: 'd3', email: 'a@x.org' },
      { device: 'd3', ...C1 },
    ]);
    expect(chainOf(await why('device:d1', 'device:d2'))).toEqual([
      'device:d1 event m2 email:a@x.org',
      'email:a@x.org event m3 customer_id:c1',
      'customer_id:c1 event m4 device:d2',
    ]);
  });

  it('over a merge, by the event that brought it about', async () => {
    await given([{ device: 'd1' }, { ...C1, device: 'd2' }, { device: 'd1', ...C1 }]);
    const answer = await why('device:d1', 'device:d2');
    expect(chainOf(answer)).toEqual([
      'device:d1 event m3 customer_id:c1',
      'customer_id:c1 event m2 device:d2',
    ]);
    expect(answer.audit).toMatchObject({ complete: true, scanned: 3 });
  });

  it('an event that a key was left out of does not connect it; the merge by hand later does', async () => {
    const events = [
      { ...C1, device: 'd1' },
      { customer_id: 'c2', device: 'd1', email: 'b@x.org' },
    ];
    const fold = new ProfileFold(configOf());
    events.forEach((keys, index) => {
      fold.send({ id: `m${index + 1}`, keys }, NOW_MS);
    });
    const [into, from] = ['c1', 'c2'].map((value) => fold.holder('customer_id', value)!.id);
    fold.envelope(commandOf({ kind: 'merge', into: into!, from: from!, force: true }), {
      nowMs: NOW_MS,
      source: 'command',
    });
    await serve(fold, events);
    expect(chainOf(await why('device:d1', 'email:b@x.org'))).toEqual([
      'device:d1 attached m1 profile',
      `profile merged_by_hand ${COMMAND_ID} profile`,
      'profile attached m2 email:b@x.org',
    ]);
  });

  it('without the events, by what the audit log says of the profiles', async () => {
    const segment = await given([{ device: 'd1' }, { ...C1, device: 'd2' }, { device: 'd1', ...C1 }]);
    segment.log.messageAt = async () => undefined;
    expect(chainOf(await why('device:d1', 'device:d2'))).toEqual([
      'device:d1 attached m1 profile',
      'profile merged m3 profile',
      'profile attached m2 device:d2',
    ]);
  });

  it('without the audit log, by what the profile holds', async () => {
    const segment = await given([{ device: 'd1' }, { ...C1, device: 'd2' }, { device: 'd1', ...C1 }]);
    segment.audit.messages.length = 0;
    const answer = await why('device:d1', 'device:d2');
    expect(chainOf(answer)).toEqual(['device:d1 held m1 profile', 'profile held m2 device:d2']);
    expect(answer.audit).toEqual({ complete: true, scanned: 0 });
  });

  it('an event of another log at the same place tells nothing', async () => {
    const segment = await given([{ device: 'd1' }, { device: 'd1', ...C1 }]);
    const { messageAt } = segment.log;
    segment.log.messageAt = (sequence) => messageAt(sequence === 2 ? 1 : sequence);
    expect(chainOf(await why('device:d1', 'customer_id:c1'))).toEqual([
      'device:d1 attached m1 profile',
      'profile attached m2 customer_id:c1',
    ]);
  });
});

describe('two keys that are not of one profile', () => {
  it('refused: the event, the reason, the limit, and what would happen now', async () => {
    await given([
      { ...C1, device: 'd1' },
      { customer_id: 'c2', device: 'd1' },
    ]);
    const answer = await why('customer_id:c2', 'device:d1');
    expect(answer).toMatchObject({
      one: false,
      because: ['refused', 'limit'],
      refusals: [
        {
          kind: 'link_refused',
          reason: 'limit',
          key: { name: 'device', value: 'd1' },
          messageId: 'm2',
          profileId: answer.keys[0].profileId,
          heldBy: answer.keys[1].profileId,
        },
      ],
      limits: [{ reason: 'limit', detail: 'limit of 1 customer_id a profile' }],
      ifNamedNow: { joined: false, facts: [{ kind: 'link_refused', reason: 'limit' }] },
    });
  });

  it('refused also when the question is about other keys of the two profiles', async () => {
    await given([
      { ...C1, device: 'd1' },
      { customer_id: 'c2', device: 'd1', email: 'b@x.org' },
    ]);
    expect(await why('email:b@x.org', 'customer_id:c1')).toMatchObject({
      because: ['refused', 'limit'],
      refusals: [{ messageId: 'm2' }],
    });
  });

  it('never named together: and an event that does would join them', async () => {
    await given([C1, { device: 'd1' }, { device: 'd2', email: 'b@x.org' }]);
    expect(await why('customer_id:c1', 'device:d1')).toMatchObject({
      one: false,
      because: ['never_named_together'],
      refusals: [],
      limits: [],
      ifNamedNow: { joined: true },
      audit: { complete: true, scanned: 3 },
    });
  });

  it('nothing is written by asking', async () => {
    const segment = await given([C1, { device: 'd1' }]);
    const before = new Map(segment.store.leader);
    await why('customer_id:c1', 'device:d1');
    expect(segment.store.leader).toEqual(before);
    expect(segment.appender.requests).toEqual([]);
  });

  it('a refusal between others is none of theirs', async () => {
    await given([
      { ...C1, device: 'd1' },
      { customer_id: 'c2', device: 'd1' },
      { customer_id: 'c3', device: 'd3' },
    ]);
    expect(await why('customer_id:c1', 'customer_id:c3')).toMatchObject({
      because: ['limit', 'never_named_together'],
      refusals: [],
    });
  });

  it('two values of one key: no event can name both', async () => {
    await given([{ email: 'a@x.org' }, { email: 'b@x.org' }]);
    expect((await why('email:a@x.org', 'email:b@x.org')).ifNamedNow).toBeUndefined();
  });

  it('a key that left the profile', async () => {
    const keys = `
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 5 }
    - { name: device, kind: device, limit: 100, owner: last_authenticated }`;
    await given(
      [
        { ...C1, device: 'd1' },
        { customer_id: 'c2', device: 'd1' },
      ],
      `keys:${keys}`,
    );
    expect(await why('customer_id:c1', 'device:d1')).toMatchObject({
      because: ['key_left', 'limit'],
      partings: [{ kind: 'key_evicted', reason: 'moved', messageId: 'm2' }],
    });
  });

  it('a key of nobody', async () => {
    await given([C1]);
    const answer = await why('customer_id:c1', 'device:nowhere');
    expect(answer.keys[1]).toEqual({ name: 'device', value: 'nowhere', profileId: null });
    expect(answer.because).toEqual(['key_of_nobody', 'never_named_together']);
    expect(answer.ifNamedNow.joined).toBe(true);
  });

  it('parted by hand', async () => {
    const events: Keys[] = [{ ...C1, device: 'd1' }];
    const fold = new ProfileFold(configOf());
    fold.send({ id: 'm1', keys: events[0]! }, NOW_MS);
    const whole = fold.holder('customer_id', 'c1')!;
    const split = {
      kind: 'split_begin',
      profileId: whole.id,
      newProfileId: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b13',
      keys: { device: ['d1'] },
      reason: 'split',
    } as const;
    fold.envelope(commandOf(split), { nowMs: NOW_MS, source: 'command' });
    await serve(fold, events);
    expect(await why('customer_id:c1', 'device:d1')).toMatchObject({
      one: false,
      because: ['parted_by_hand', 'key_left'],
      apartSince: new Date(NOW_MS).toISOString(),
      ifNamedNow: { joined: false, facts: [{ reason: 'apart' }] },
    });
  });
});

describe('what cannot be asked', () => {
  it.each([
    ['d1', 'BAD_REQUEST', 'give name:value'],
    ['device:d1', 'BAD_REQUEST', 'the same key'],
    ['devize:d1', 'UNKNOWN_KEY_NAME', "Did you mean 'device'?"],
    ['customer_id:guest', 'INVALID_KEY_VALUE', 'customer_id'],
  ])('with=%s: %s', async (other, code, message) => {
    await given([{ device: 'd1' }]);
    const response = await gateway!.get(`/v1/profiles/device/d1/identity?with=${other}`);
    expect(errorCode(response)).toBe(code);
    expect(response.json().error.message).toContain(message);
  });

  it("keys of which neither is anybody's", async () => {
    await given([C1]);
    const response = await gateway!.get('/v1/profiles/device/x/identity?with=device:y');
    expect([response.statusCode, errorCode(response)]).toEqual([404, 'PROFILE_NOT_FOUND']);
  });
});

it('a chain takes no connection that does not lead there, and there may be none', () => {
  const key = (value: string) => ({ name: 'k', value });
  const joins = (messageId: string, ...values: string[]) => {
    return { by: 'event', messageId, at: undefined, nodes: values.map(key) } as const;
  };
  const connections = [
    joins('1', 'a', 'x'),
    joins('2', 'a', 'b'),
    joins('3', 'b', 'c'),
    joins('4', 'y', 'z'),
  ];
  const chain = shortestChain(key('a'), key('c'), connections);
  expect(chain?.map(({ messageId }) => messageId)).toEqual(['2', '3']);
  expect(shortestChain(key('a'), key('z'), connections)).toBeUndefined();
});
