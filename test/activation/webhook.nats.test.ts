// Activations against a real receiver and a real server: what is sent, and what becomes of it when the receiver fails in
// every way that receivers do.
import { createHmac } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually } from '../support/segment.ts';
import { answer, drop, hang, Receiver } from './receiver.ts';
import { Rig } from './rig.ts';

let server: TestServer;
let receiver: Receiver;
let rig: Rig;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  receiver = await new Receiver().open();
  rig = new Rig(server.url);
});
afterEach(async () => {
  await rig.stop();
  await receiver.close();
});

const hook = (more = '') =>
  `{ name: crm, type: webhook, url: '${receiver.url}/hook', retry: { attempts: 4, base: 50ms, max: 200ms }${more} }`;
const ended = async () => (await rig.attempts()).filter(({ outcome }) => outcome !== 'retrying');
const allEnded = (count: number) => eventually(`${count} ended`, async () => (await ended()).length >= count);

describe('a webhook', () => {
  it('gets the activation, signed by every secret, with its id as idempotency key', async () => {
    const [fresh, old] = [`whsec_${Buffer.from('new secret').toString('base64')}`, 'an old secret'];
    await rig.start([hook(", secret: ['${NEW}', '${OLD}'], headers: { authorization: 'Bearer ${TOKEN}' }")], {
      env: { NEW: fresh, OLD: old, TOKEN: 'token-4711' },
    });
    receiver.behave = answer(200, {}, 'you sent token-4711');
    await rig.decide(['a1']);
    await allEnded(1);
    const [request] = receiver.received;
    expect(receiver.received).toHaveLength(1);
    expect(request).toMatchObject({ method: 'POST', path: '/hook' });
    expect(request?.headers).toMatchObject({
      'webhook-id': 'a1',
      'idempotency-key': 'a1',
      'content-type': 'application/json',
      authorization: 'Bearer token-4711',
    });
    expect(JSON.parse(request!.body)).toMatchObject({
      id: 'a1',
      name: 'mail',
      payload: { total: 1 },
      cause: { messageId: 'm-a1' },
    });
    expect(JSON.parse(request!.body)).not.toHaveProperty('to');
    const signed = `a1.${request!.headers['webhook-timestamp']}.${request!.body}`;
    const sign = (key: string) => `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
    expect(request!.headers['webhook-signature']).toBe(`${sign('new secret')} ${sign('an old secret')}`);
    const [entry] = await rig.attempts();
    expect(entry).toMatchObject({
      activationId: 'a1',
      outcome: 'delivered',
      status: 200,
      attempt: 1,
      answer: 'you sent ***',
    });
    await eventually('the audit entry', async () => (await rig.audit()).length === 1);
    expect(await rig.audit()).toMatchObject([
      { kind: 'activation_delivered', messageId: 'm-a1', profileId: 'p-1' },
    ]);
  });

  it('has URL, headers and body of the config, values encoded', async () => {
    await rig.start([
      `{ name: crm, type: webhook, method: PUT, url: '${receiver.url}/u/{{ payload.who }}?q={{ payload.q }}', headers: { X-Total: '{{ payload.total }}' }, body: { total: '{{ payload.total }}', who: 'is {{ keys.email }}', list: '{{ payload.list }}' } }`,
    ]);
    await rig.decide(['a1'], { payload: { total: 7, who: 'a/b?c', q: 'ä&x=1', list: [1, { a: 2 }] } });
    await allEnded(1);
    const [request] = receiver.received;
    expect(request?.method).toBe('PUT');
    expect(request?.path).toBe('/u/a%2Fb%3Fc?q=%C3%A4%26x%3D1');
    expect(request?.headers['x-total']).toBe('7');
    expect(JSON.parse(request!.body)).toEqual({ total: 7, who: 'is ann@example.com', list: [1, { a: 2 }] });
  });

  it('is not led away from its beginning by a value', async () => {
    await rig.start([`{ name: crm, type: webhook, url: '${receiver.url}/in/{{ payload.who }}/x' }`]);
    await rig.decide(['a1'], { payload: { who: '..' } });
    await allEnded(1);
    expect(receiver.received).toEqual([]);
    expect(await rig.attempts()).toMatchObject([
      { outcome: 'failed', reason: 'rejected', error: expect.stringContaining('away') },
    ]);
  });
});

describe('a receiver that', () => {
  it('answers 500 for a while gets it again with the same id', async () => {
    receiver.behave = (request, response, count) =>
      answer(count < 3 ? 500 : 200, {}, 'oh')(request, response, count);
    await rig.start([hook()]);
    await rig.decide(['a1']);
    await allEnded(1);
    expect(receiver.ids).toEqual(['a1', 'a1', 'a1']);
    expect(await rig.attempts()).toMatchObject([
      { attempt: 1, outcome: 'retrying', status: 500, answer: 'oh', nextAt: expect.any(String) },
      { attempt: 2, outcome: 'retrying' },
      { attempt: 3, outcome: 'delivered', status: 200 },
    ]);
  });

  it('answers 500 for ever gets it as often as the config says, then it is a dead letter', async () => {
    receiver.behave = answer(500);
    await rig.start([hook()]);
    await rig.decide(['a1']);
    await allEnded(1);
    expect(receiver.ids).toHaveLength(4);
    await eventually('the dead letter', async () => (await rig.dead()).length === 1);
    expect(await rig.dead()).toMatchObject([
      {
        kind: 'activation',
        id: 'crm.a1',
        code: 'attempts',
        attempts: 4,
        activation: { id: 'a1', payload: { total: 1 } },
      },
    ]);
    await eventually('the audit entry', async () => (await rig.audit()).length === 1);
    expect(await rig.audit()).toMatchObject([
      { kind: 'activation_failed', facts: [{ reason: 'attempts', destination: 'crm' }] },
    ]);
  });

  it('refuses what it is sent gets it once', async () => {
    receiver.behave = answer(422, {}, 'no such customer');
    await rig.start([hook()]);
    await rig.decide(['a1']);
    await allEnded(1);
    expect(receiver.ids).toEqual(['a1']);
    expect(await rig.attempts()).toMatchObject([
      { reason: 'rejected', status: 422, answer: 'no such customer' },
    ]);
  });

  it('redirects is not followed', async () => {
    const other = await new Receiver().open();
    receiver.behave = answer(307, { location: `${other.url}/hook` });
    await rig.start([hook()]);
    await rig.decide(['a1']);
    await allEnded(1);
    await other.close();
    expect(other.received).toEqual([]);
    expect(await rig.attempts()).toMatchObject([
      { reason: 'rejected', error: expect.stringContaining('redirect') },
    ]);
  });

  it('hangs costs an attempt its time', async () => {
    receiver.behave = (request, response, count) =>
      (count === 1 ? hang : answer(200))(request, response, count);
    await rig.start([hook(', timeout: 200ms')]);
    await rig.decide(['a1']);
    await allEnded(1);
    const [first, second] = await rig.attempts();
    expect(first).toMatchObject({ outcome: 'retrying', error: 'no answer in time' });
    expect(first!.latencyMs).toBeGreaterThanOrEqual(195);
    expect(second).toMatchObject({ outcome: 'delivered', attempt: 2 });
  });

  it('closes the connection gets it again', async () => {
    receiver.behave = (request, response, count) =>
      (count < 3 ? drop : answer(200))(request, response, count);
    await rig.start([hook()]);
    await rig.decide(['a1']);
    await allEnded(1);
    expect((await rig.attempts()).map(({ outcome }) => outcome)).toEqual([
      'retrying',
      'retrying',
      'delivered',
    ]);
  });

  it('answers and never ends its answer has taken it', async () => {
    receiver.behave = (_request, response) => void response.writeHead(200).write('part of an answer');
    await rig.start([hook(', timeout: 300ms')]);
    await rig.decide(['a1']);
    await allEnded(1);
    expect(await rig.attempts()).toMatchObject([
      { outcome: 'delivered', status: 200, answer: 'part of an answer' },
    ]);
  });

  it('asks for time gets it', async () => {
    receiver.behave = (request, response, count) =>
      (count === 1 ? answer(429, { 'retry-after': '1' }) : answer(200))(request, response, count);
    await rig.start([`{ name: crm, type: webhook, url: '${receiver.url}/hook', retry: { base: 10ms } }`]);
    await rig.decide(['a1']);
    await allEnded(1);
    const [first, second] = receiver.received;
    expect(second!.atMs - first!.atMs).toBeGreaterThanOrEqual(990);
  });

  it('is away for a while loses nothing, and does not use attempts up', async () => {
    await receiver.close();
    await rig.start([hook()]);
    const ids = Array.from({ length: 50 }, (_, n) => `a${n}`);
    await rig.decide(ids);
    await eventually('some tried in vain', async () => (await rig.attempts()).length >= 6);
    await receiver.open();
    await allEnded(50);
    expect([...new Set(receiver.ids)].sort()).toEqual([...ids].sort());
    expect((await ended()).every(({ outcome }) => outcome === 'delivered')).toBe(true);
    expect((await rig.attempts()).some(({ error }) => error?.includes('ECONNREFUSED'))).toBe(true);
  });
});

describe('a destination', () => {
  it('that hangs delays no other', async () => {
    receiver.behave = hang;
    const other = await new Receiver().open();
    await rig.start(
      [
        `{ name: crm, type: webhook, url: '${receiver.url}/', timeout: 60s, concurrency: 2 }`,
        `{ name: fast, type: webhook, url: '${other.url}/' }`,
      ],
      { to: '[crm, fast]' },
    );
    const ids = Array.from({ length: 20 }, (_, n) => `a${n}`);
    await rig.decide(ids, { to: ['crm', 'fast'] });
    await eventually('the other has all', () => new Set(other.ids).size === 20);
    expect(receiver.received.length).toBeLessThanOrEqual(2);
    await receiver.close();
    await other.close();
  });

  it('keeps its rate', async () => {
    await rig.start([hook(', rate: 20/s')]);
    await rig.decide(Array.from({ length: 40 }, (_, n) => `a${n}`));
    await allEnded(40);
    const times = receiver.received.map(({ atMs }) => atMs);
    // A second's worth at once, the rest evenly.
    expect(times.at(-1)! - times[0]!).toBeGreaterThan(900);
  });

  it('in a private network is refused unless it is allowed', async () => {
    await rig.start([hook()], { allow: [] });
    await rig.decide(['a1']);
    await eventually('an attempt', async () => (await rig.attempts()).length > 0);
    expect(receiver.received).toEqual([]);
    expect((await rig.attempts())[0]).toMatchObject({ error: expect.stringContaining('127.0.0.1') });
  });

  it('whose name leads to a private network is refused where it connects', async () => {
    await rig.start([hook().replace('127.0.0.1', 'localhost')], { allow: [] });
    await rig.decide(['a1']);
    await eventually('an attempt', async () => (await rig.attempts()).length > 0);
    expect(receiver.received).toEqual([]);
    expect((await rig.attempts())[0]).toMatchObject({
      error: expect.stringContaining('no address of the public internet'),
    });
  });

  it('that lacks a secret here is held, and nothing is lost', async () => {
    const role = await rig.start([hook(", secret: '${CRM_SECRET}'")]);
    await rig.decide(['a1']);
    expect(await rig.registry.getSingleMetricAsString('stitchwork_delivery_held')).toMatch(
      /destination="crm"} 1/,
    );
    await role.stop();
    await rig.start([hook(", secret: '${CRM_SECRET}'")], { env: { CRM_SECRET: 'hush' } });
    await allEnded(1);
    expect(receiver.ids).toEqual(['a1']);
  });

  it('gets nothing that was not meant for it', async () => {
    await rig.start([hook()]);
    await rig.decide(['a1'], { to: ['other'] });
    await rig.decide(['a2'], { to: [] });
    await rig.decide(['a3']);
    await allEnded(1);
    expect(receiver.ids).toEqual(['a3']);
  });
});
