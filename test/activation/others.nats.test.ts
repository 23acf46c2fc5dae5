// Activations as messages to subjects, and what many activators do together: shared work, one of them killed.
import type { ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureBuilt, type Running, runCliProcess, startCli } from '../e2e/cli-process.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually } from '../support/segment.ts';
import { accept, answer, Receiver } from './receiver.ts';
import { configYaml, Rig } from './rig.ts';

let server: TestServer;
let rig: Rig;

beforeAll(async () => {
  ensureBuilt();
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(() => {
  rig = new Rig(server.url);
});
afterEach(() => rig.stop());

const ended = async () => (await rig.attempts()).filter(({ outcome }) => outcome !== 'retrying');

describe('a subject', () => {
  it('gets the activation with its id', async () => {
    const subject = `mine.${rig.names.segment}`;
    await rig.start([`{ name: crm, type: nats, subject: '${subject}.{{ payload.total }}' }`]);
    const heard: [string, string, string][] = [];
    rig.door.nc.subscribe(`${subject}.*`, {
      callback: (_error, msg) =>
        void heard.push([msg.subject, msg.headers!.get('Nats-Msg-Id'), msg.string()]),
    });
    await rig.decide(['a1']);
    await rig.decide(['a2'], { payload: { total: 'a.b c' } });
    await eventually('both ended', async () => (await ended()).length === 2);
    expect(heard).toHaveLength(1);
    expect(heard[0]!.slice(0, 2)).toEqual([`${subject}.1`, 'a1']);
    expect(JSON.parse(heard[0]![2])).toMatchObject({ id: 'a1', payload: { total: 1 } });
    expect((await ended()).map(({ activationId, outcome }) => [activationId, outcome]).sort()).toEqual([
      ['a1', 'delivered'],
      ['a2', 'failed'],
    ]);
  });

  it('that a stream is to store waits until there is one', async () => {
    const subject = `mine.${rig.names.segment}.stored`;
    await rig.start([
      `{ name: crm, type: nats, subject: ${subject}, stored: true, retry: { base: 50ms, max: 100ms } }`,
    ]);
    await rig.decide(['a1']);
    await eventually('an attempt', async () => (await rig.attempts()).length > 0);
    expect((await rig.attempts())[0]).toMatchObject({
      outcome: 'retrying',
      error: 'no stream takes this subject',
    });
    const name = `MINE_${rig.names.segment}`;
    const made = await rig.door.request(
      `$JS.API.STREAM.CREATE.${name}`,
      JSON.stringify({ name, subjects: [subject] }),
    );
    expect(made.kind).toBe('reply');
    await eventually('delivered', async () => (await ended()).length === 1);
    expect(await ended()).toMatchObject([{ outcome: 'delivered' }]);
  });
});

describe('several activators', () => {
  let receiver: Receiver;
  let children: Running[];

  beforeEach(async () => {
    receiver = await new Receiver().open();
    children = [];
  });
  afterEach(async () => {
    for (const { child } of children) child.kill('SIGKILL');
    await Promise.all(children.map(({ finished }) => finished));
    await receiver.close();
  });

  async function startChild(): Promise<ChildProcess> {
    const args = ['--config', rig.configFile, '--nats-url', server.url, '--allow-network', '127.0.0.0/8'];
    const child = startCli([
      'activator',
      ...args,
      '--shards',
      '4',
      '--events-max-bytes',
      '64MB',
      '--log-level',
      'error',
    ]);
    children.push(child);
    await child.line();
    return child.child;
  }

  it('share the work; what a killed one held is delivered by another, and nothing is lost', async () => {
    const destination = `{ name: crm, type: webhook, url: '${receiver.url}/', concurrency: 5 }`;
    const first = await rig.start([destination]);
    await first.stop();
    await writeFile(rig.configFile, configYaml(rig.names.segment, [destination], 'crm'));
    receiver.behave = (_request, response) => void setTimeout(() => response.writeHead(200).end(), 20);
    const killed = await startChild();
    await startChild();
    const ids = Array.from({ length: 400 }, (_, n) => `a${n}`);
    await rig.decide(ids);
    await eventually('some are sent', () => receiver.ids.length > 100);
    killed.kill('SIGKILL');
    await eventually('all are there', () => new Set(receiver.ids).size === ids.length, 30_000);
    expect([...new Set(receiver.ids)].sort()).toEqual([...ids].sort());
    // At most what it had in its hands is sent twice.
    expect(receiver.ids.length - ids.length).toBeLessThanOrEqual(10);
    await eventually(
      'every end is written',
      async () => new Set((await ended()).map((e) => e.activationId)).size === 400,
    );
    expect(new Set((await ended()).map(({ by }) => by)).size).toBe(2);
  });

  it('that the server leaves for a while go on when it is back', async () => {
    await rig.start([`{ name: crm, type: webhook, url: '${receiver.url}/' }`]);
    await rig.decide(['a1']);
    await eventually('the first', () => receiver.ids.length === 1);
    await server.kill();
    await server.restart();
    await eventually('connected', () => rig.door.connected);
    await eventually('the second decided', async () =>
      rig.decide(['a2']).then(
        () => true,
        () => false,
      ),
    );
    await eventually('the second', () => receiver.ids.includes('a2'), 30_000);
  });
});

describe('a config that changes', () => {
  it('takes over: a changed destination for what waits too, a removed one when it is back', async () => {
    const [old, fresh] = [await new Receiver().open(), await new Receiver().open()];
    old.behave = answer(503);
    const to = (url: string) =>
      `{ name: crm, type: webhook, url: '${url}/', retry: { attempts: 100, base: 50ms, max: 100ms } }`;
    await rig.start([to(old.url)]);
    await rig.decide(['a1']);
    await eventually('tried in vain', () => old.ids.length > 0);
    await rig.apply(2, [to(fresh.url)]);
    await eventually('delivered by the new config', () => fresh.ids.length === 1);
    expect(fresh.ids).toEqual(['a1']);
    await eventually('written', async () => (await ended()).length === 1);
    await rig.apply(3, ['{ name: console, type: log }'], 'console');
    await rig.decide(['seen'], { to: ['console'] });
    await eventually('the third is in force', async () => (await ended()).length === 2);
    await rig.decide(['a2']);
    await rig.apply(4, [to(fresh.url), '{ name: console, type: log }']);
    await eventually('what waited', () => fresh.ids.includes('a2'));
    expect(fresh.ids).toEqual(['a1', 'a2']);
    await old.close();
    await fresh.close();
  });
});

describe('dead letters of activations', () => {
  it('are listed, shown and sent again by hand with their id, once', async () => {
    const receiver = await new Receiver().open();
    receiver.behave = answer(400);
    const other = await new Receiver().open();
    await rig.start(
      [
        `{ name: crm, type: webhook, url: '${receiver.url}/' }`,
        `{ name: fine, type: webhook, url: '${other.url}/' }`,
      ],
      { to: '[crm, fine]' },
    );
    await rig.decide(['a1', 'a2'], { to: ['crm', 'fine'] });
    await eventually('both letters', async () => (await rig.dead()).length === 2);
    const client = (...args: readonly string[]) =>
      runCliProcess(['dead', ...args, '--nats-url', server.url, '--segment', rig.names.segment]);
    const listed = (await client('list', '--json')).out
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string });
    expect(listed.map(({ id }) => id).sort()).toEqual(['crm.a1', 'crm.a2']);
    expect((await client('list', '--destination', 'fine')).err).toContain('no dead letters');
    expect(JSON.parse((await client('show', 'crm.a1')).out)).toMatchObject({
      code: 'rejected',
      activation: { id: 'a1' },
    });
    receiver.behave = accept;
    receiver.received.length = 0;
    expect((await client('redrive', '--all', '--destination', 'crm')).out).toBe(
      '2 handed to their destinations again',
    );
    await eventually('both again', () => receiver.ids.length === 2);
    expect([...receiver.ids].sort()).toEqual(['a1', 'a2']);
    expect(JSON.parse(receiver.received[0]!.body)).not.toHaveProperty('redriven');
    expect((await client('list')).err).toContain('no dead letters');
    await eventually(
      'delivered',
      async () => (await ended()).filter(({ outcome }) => outcome === 'delivered').length === 4,
    );
    expect([...other.ids].sort()).toEqual(['a1', 'a2']);
    await receiver.close();
    await other.close();
  });
});
