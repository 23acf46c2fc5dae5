// Identities put right by hand through a running gateway and worker: parted, joined, a key taken off; what each side did
// is told apart exactly, and what a gateway left half done another one finishes.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobStore } from '../../gateway/identity/job-store.ts';
import { sendCommand } from '../../gateway/identity/send-command.ts';
import { createLog } from '../../infra/log.ts';
import { createRegistry, type RunningDev, runDev } from '../../infra/wire.ts';
import { decodeArchiveRecord } from '../../shared/contract/archive-record.ts';
import { recordKeys, segmentNames } from '../../shared/contract/names.ts';
import { systemClock } from '../../shared/kernel/clock.ts';
import { connectNats } from '../../shared/nats/connect.ts';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { readLogState } from '../../shared/nats/log-state.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { createReplyBoxes } from '../../shared/nats/replies.ts';
import { parseRoleSettings } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';

const CONFIG = `segment: undo
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: email, kind: contact, limit: 5 }
    - { name: device, kind: device }
events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: bought, when: 'event.name == "Bought"' }
attributes:
  - { name: views, type: counter, on: viewed, total: true }
  - { name: spend, type: counter, on: bought, total: true, by: event.properties.paid }
  - { name: last, type: single, on: viewed, value: event.properties.page }
  - { name: seen, type: list, on: viewed, id: event.properties.page }
audiences:
  - { name: spenders, when: 'profile.spend >= 10.0' }
`;
const SHARDS = 4;

interface Profile {
  readonly id: string;
  readonly keys: Readonly<Record<string, readonly string[]>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly audiences: readonly string[];
}
interface Job {
  readonly id: string;
  readonly state: string;
  readonly profileIds: readonly string[];
}

let folder: string;
let dev: RunningDev;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-undo-'));
  const file = join(folder, 'undo.yaml');
  await writeFile(file, CONFIG);
  const flags = {
    config: [file],
    port: '0',
    dataDir: join(folder, 'data'),
    logLevel: 'error',
    shards: String(SHARDS),
    eventsMaxBytes: '32MB',
    archiveFlush: '100ms',
  };
  const settings = { ...parseRoleSettings(flags, {}), natsUrl: undefined };
  dev = await runDev(settings, { log: createLog('undo', 'error'), registry: createRegistry() });
}, 60_000);

afterAll(async () => {
  await dev?.stop();
  await rm(folder, { recursive: true, force: true });
});

let sent = 0;
async function send(keys: object, more: { name?: string; page?: string; paid?: number; id?: string } = {}) {
  const { name = 'Viewed', id = `m${++sent}`, ...properties } = more;
  const answer = await fetch(`${dev.url}/v1/events?wait=commit`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${dev.writeKey}` },
    body: JSON.stringify({ messageId: id, name, keys, properties }),
  });
  expect(answer.status, await answer.clone().text()).toBe(200);
}

async function profile(path: string): Promise<Profile | undefined> {
  const answer = await fetch(`${dev.url}/v1/profiles/${path}`, {
    headers: { authorization: `Bearer ${dev.adminKey}` },
  });
  return answer.status === 404 ? undefined : ((await answer.json()) as Profile);
}

async function post(path: string, body: object) {
  const answer = await fetch(`${dev.url}/v1/identity/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${dev.adminKey}` },
    body: JSON.stringify(body),
  });
  return {
    status: answer.status,
    body: (await answer.json()) as Job & { error?: { code: string; details: unknown } },
  };
}

const key = (name: string, value: string) => ({ key: name, value });

describe('a split', () => {
  it('gives both people back what was theirs, and later and repeated events go right', async () => {
    await send({ customer_id: 'ann', email: 'a@x' }, { page: 'a1' });
    await send({ email: 'b@x', device: 'd1' }, { page: 'b1' });
    await send({ email: 'b@x' }, { name: 'Bought', paid: 30, id: 'bought' });
    // The mistake: Ann's account with Bob's address.
    await send({ customer_id: 'ann', email: 'b@x' }, { page: 'a2' });
    expect(await profile('customer_id/ann')).toMatchObject({
      attributes: { views: 3, spend: 30 },
      audiences: ['spenders'],
    });

    const split = await post('split', {
      profile: key('customer_id', 'ann'),
      keys: { email: ['b@x'], device: ['d1'] },
      by: 'test',
    });
    expect(split).toMatchObject({ status: 200, body: { state: 'done' } });
    const ann = (await profile('customer_id/ann'))!;
    const bob = (await profile('email/b%40x'))!;
    expect(ann).toMatchObject({
      keys: { customer_id: ['ann'], email: ['a@x'] },
      attributes: { views: 2, spend: 0, last: 'a2' },
      audiences: [],
    });
    expect(bob).toMatchObject({
      keys: { email: ['b@x'], device: ['d1'] },
      attributes: { views: 1, spend: 30, last: 'b1' },
      audiences: ['spenders'],
    });
    expect(new Set(split.body.profileIds)).toEqual(new Set([ann.id, bob.id]));

    await send({ email: 'b@x' }, { name: 'Bought', paid: 30, id: 'bought' });
    await send({ device: 'd1' }, { page: 'b2' });
    await send({ customer_id: 'ann', email: 'b@x' }, { page: 'a3' });
    expect(await profile('customer_id/ann')).toMatchObject({
      id: ann.id,
      attributes: { views: 3, last: 'a3' },
      keys: { email: ['a@x'] },
    });
    expect(await profile('device/d1')).toMatchObject({
      id: bob.id,
      attributes: { views: 2, spend: 30, last: 'b2' },
    });
    const { audiences } = (await (
      await fetch(`${dev.url}/v1/audiences`, { headers: { authorization: `Bearer ${dev.adminKey}` } })
    ).json()) as { audiences: object[] };
    expect(audiences).toMatchObject([{ name: 'spenders', size: 1 }]);
  });

  it('is refused with the reason when it cannot be', async () => {
    await send({ customer_id: 'solo' });
    const all = await post('split', { profile: key('customer_id', 'solo'), keys: { customer_id: ['solo'] } });
    expect(all).toMatchObject({
      status: 409,
      body: { error: { code: 'COMMAND_REFUSED', details: [{ reason: 'all_keys' }] } },
    });
    const foreign = await post('split', { profile: key('customer_id', 'solo'), keys: { email: ['no@x'] } });
    expect(foreign.body.error).toMatchObject({ code: 'COMMAND_REFUSED', details: [{ reason: 'not_held' }] });
    const nobody = await post('split', { profile: key('customer_id', 'who'), keys: { email: ['no@x'] } });
    expect([nobody.status, nobody.body.error?.code]).toEqual([404, 'PROFILE_NOT_FOUND']);
    const vague = await post('split', { profile: key('customer_id', 'solo') });
    expect([vague.status, vague.body.error?.code]).toEqual([400, 'BAD_REQUEST']);
  });

  it('takes one key off', async () => {
    await send({ customer_id: 'carl', device: 'own' }, { page: 'c1' });
    await send({ customer_id: 'carl', device: 'stray' }, { page: 'c2' });
    await send({ device: 'stray' }, { page: 's1' });
    const removed = await post('split', {
      profile: key('customer_id', 'carl'),
      keys: { device: ['stray'] },
      reason: 'removed',
    });
    expect(removed.status).toBe(200);
    expect(await profile('customer_id/carl')).toMatchObject({
      keys: { device: ['own'] },
      attributes: { views: 2 },
    });
    expect(await profile('device/stray')).toMatchObject({ attributes: { views: 1, last: 's1' } });
  });
});

describe('a merge by hand', () => {
  it('makes two one, and is taken back', async () => {
    await send({ customer_id: 'dora' }, { page: 'd1' });
    await send({ email: 'dora@x' }, { page: 'd2' });
    const other = (await profile('email/dora%40x'))!;
    const merged = await post('merge', { from: key('email', 'dora@x'), into: key('customer_id', 'dora') });
    expect(merged).toMatchObject({ status: 200, body: { state: 'done' } });
    expect(await profile(`id/${other.id}`)).toMatchObject({
      keys: { customer_id: ['dora'], email: ['dora@x'] },
      attributes: { views: 2 },
    });
    const undone = await post('split', { profile: key('customer_id', 'dora'), undo: other.id });
    expect(undone.status).toBe(200);
    expect(await profile('email/dora%40x')).toMatchObject({
      id: other.id,
      attributes: { views: 1, last: 'd2' },
    });
    expect(await profile('customer_id/dora')).toMatchObject({ attributes: { views: 1, last: 'd1' } });
  });

  it('across a limit only by force', async () => {
    await send({ customer_id: 'eve' });
    await send({ customer_id: 'eva' });
    const body = { from: key('customer_id', 'eva'), into: key('customer_id', 'eve') };
    expect((await post('merge', body)).body.error).toMatchObject({
      code: 'COMMAND_REFUSED',
      details: [{ reason: 'limit' }],
    });
    expect((await post('merge', { ...body, force: true })).status).toBe(200);
    expect(await profile('customer_id/eva')).toMatchObject({
      keys: { customer_id: ['eve', 'eva'] },
      attributes: { views: 2 },
    });
  });
});

describe('a rebuild', () => {
  it('comes to the same as what was counted live', async () => {
    await send({ customer_id: 'greg', device: 'g1' }, { page: 'g1' });
    await send({ device: 'g1' }, { name: 'Bought', paid: 12 });
    await send({ customer_id: 'greg' }, { page: 'g2' });
    const before = (await profile('customer_id/greg'))!;
    const rebuilt = await post('rebuild', { profile: key('customer_id', 'greg') });
    expect(rebuilt).toMatchObject({ status: 200, body: { state: 'done' } });
    expect(await profile('customer_id/greg')).toMatchObject({
      id: before.id,
      attributes: before.attributes,
      audiences: before.audiences,
    });
  });
});

describe('when the log has given up what the archive has', () => {
  it('splits and rebuilds are the same, and what neither has is refused', async () => {
    await send({ customer_id: 'hal', device: 'h1' }, { page: 'h1' });
    await send({ device: 'h1' }, { name: 'Bought', paid: 7 });
    await send({ customer_id: 'hal' }, { page: 'h2' });
    const before = (await profile('customer_id/hal'))!;
    const door = await connectNats({ url: dev.natsUrl, name: 'undo test' });
    try {
      const names = segmentNames('undo');
      const { lastSequence } = await readLogState(door, names);
      const store = createRecordStore(door, names);
      await eventually('all of it is archived', async () => {
        const record = (await store.read([recordKeys.archive], 'leader')).get(recordKeys.archive);
        return record?.value != null && decodeArchiveRecord(record.value).position >= lastSequence;
      });
      await createOutboxCopies(door, names).purgeLog(lastSequence);
      expect((await readLogState(door, names)).firstSequence).toBeGreaterThan(lastSequence);
    } finally {
      await door.close();
    }
    const rebuilt = await post('rebuild', { profile: key('customer_id', 'hal') });
    expect(rebuilt).toMatchObject({ status: 200, body: { state: 'done' } });
    expect(await profile('customer_id/hal')).toMatchObject({
      id: before.id,
      attributes: { views: 2, spend: 7, last: 'h2' },
    });
    await send({ device: 'h1' }, { page: 'h3' });
    const split = await post('split', { profile: key('customer_id', 'hal'), keys: { device: ['h1'] } });
    expect(split).toMatchObject({ status: 200, body: { state: 'done' } });
    expect(await profile('customer_id/hal')).toMatchObject({
      attributes: { views: 2, spend: 0, last: 'h2' },
    });
    expect(await profile('device/h1')).toMatchObject({ attributes: { views: 1, spend: 7, last: 'h3' } });
    // Without the archive nobody knows any more.
    const archive = join(folder, 'data', 'archive', 'undo');
    await rename(archive, `${archive}-elsewhere`);
    try {
      const refused = await post('rebuild', { profile: key('customer_id', 'hal') });
      expect(refused).toMatchObject({ status: 409, body: { error: { code: 'HISTORY_GONE' } } });
    } finally {
      await rename(`${archive}-elsewhere`, archive);
    }
  }, 60_000);
});

describe('what a gateway left half done', () => {
  it.each(['asked', 'begun'] as const)(
    'when it was %s, another one finishes it',
    async (step) => {
      const person = `fay-${step}`;
      await send({ customer_id: person, device: `${person}-1` }, { page: 'f1' });
      await send({ device: `${person}-1` }, { page: 'f2' });
      const whole = (await profile(`customer_id/${person}`))!;
      const door = await connectNats({ url: dev.natsUrl, name: 'undo test' });
      try {
        const names = segmentNames('undo');
        const jobs = new JobStore(createRecordStore(door, names), systemClock);
        const id = `job-${step}`;
        const newProfileId = `0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b${step === 'asked' ? '11' : '12'}`;
        const command = {
          kind: 'split_begin',
          profileId: whole.id,
          newProfileId,
          keys: { device: [`${person}-1`] },
          reason: 'split',
        } as const;
        const mark = { id, by: 'test', atMs: Date.now() };
        let profileIds: readonly string[] = [];
        if (step === 'begun') {
          const appender = createEventLogAppender(door, names);
          const replyBoxes = createReplyBoxes(door);
          const reply = await sendCommand({ appender, replyBoxes, shards: SHARDS }, command, mark, 10_000);
          profileIds = reply!.profileIds;
          await appender.close();
        }
        await jobs.update(id, () => {
          return { v: 1, id, command, by: 'test', askedAtMs: mark.atMs, step, profileIds, heldUntilMs: 0 };
        });
        await eventually('the job is done', async () => (await jobs.read(id))?.step === 'done', 20_000);
        expect(await jobs.openIds()).not.toContain(id);
        expect(recordKeys.job(id)).toContain(id);
      } finally {
        await door.close();
      }
      expect(await profile(`customer_id/${person}`)).toMatchObject({ attributes: { views: 1, last: 'f1' } });
      expect(await profile(`device/${person}-1`)).toMatchObject({ attributes: { views: 1, last: 'f2' } });
    },
    30_000,
  );
});
