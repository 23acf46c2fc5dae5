// One event through everything: its decision and attempts as the API and the command line tell them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRegistry, type RunningDev, runDev } from '../../infra/wire.ts';
import { parseRoleSettings } from '../../shared/settings.ts';
import { ensureBuilt, runCliProcess } from '../e2e/cli-process.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually } from '../support/segment.ts';
import { answer, Receiver } from './receiver.ts';

let server: TestServer;
let dev: RunningDev;
let folder: string;
let receiver: Receiver;

beforeAll(async () => {
  ensureBuilt();
  receiver = await new Receiver().open();
  server = await startTestServer();
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-test-'));
  const config = join(folder, 'shop.yaml');
  await writeFile(
    config,
    `segment: shop
stitching: { keys: [{ name: email }] }
events: [{ name: bought, when: 'event.name == "Order Completed"' }]
attributes: [{ name: spend, type: counter, total: true, on: bought, by: event.properties.revenue }]
activations: [{ name: thanks, to: crm, payload: { spend: '{{ profile.spend }}' } }]
triggers: [{ name: big, on: bought, when: 'profile.spend > 100', activate: thanks }]
destinations: [{ name: crm, type: webhook, url: '${receiver.url}/', retry: { base: 50ms, max: 50ms } }]
`,
  );
  const flags = {
    config: [config],
    port: '0',
    dataDir: folder,
    shards: '4',
    eventsMaxBytes: '64MB',
    allowNetwork: ['127.0.0.1'],
  };
  const settings = { ...parseRoleSettings(flags, {}), natsUrl: server.url };
  dev = await runDev(settings, { log: pino({ level: 'silent' }), registry: createRegistry() });
  receiver.behave = (request, response, count) =>
    answer(count === 1 ? 500 : 200, {}, 'so so')(request, response, count);
  await post('m-small', 5);
  await post('m-1', 200);
  await eventually('delivered', () => receiver.ids.length === 2);
  await eventually('written', async () => (await listed('?outcome=delivered')).entries.length === 1);
});

afterAll(async () => {
  await dev?.stop();
  await server.stop();
  await receiver.close();
  await rm(folder, { recursive: true, force: true });
});

async function post(messageId: string, revenue: number): Promise<void> {
  const event = {
    messageId,
    name: 'Order Completed',
    keys: { email: 'ann@example.com' },
    properties: { revenue },
  };
  const response = await fetch(`${dev.url}/v1/events?wait=commit`, {
    method: 'POST',
    headers: { authorization: `Bearer ${dev.writeKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(event),
  });
  expect(response.status).toBe(200);
}

async function listed(query: string) {
  const response = await fetch(`${dev.url}/v1/activations${query}`, {
    headers: { authorization: `Bearer ${dev.adminKey}` },
  });
  return (await response.json()) as { entries: Record<string, unknown>[] };
}

const api = (...args: readonly string[]) => runCliProcess([...args, '--url', dev.url, '--key', dev.adminKey]);
const nats = (...args: readonly string[]) =>
  runCliProcess([...args, '--nats-url', server.url, '--segment', 'shop']);

describe('an event that has an activation delivered', () => {
  it('is in the log of activations: decided, tried, delivered', async () => {
    const { entries } = await listed('?messageId=m-1');
    expect(entries).toMatchObject([
      {
        kind: 'attempt',
        outcome: 'delivered',
        attempt: 2,
        status: 200,
        destination: 'crm',
        cause: { messageId: 'm-1' },
      },
      { kind: 'attempt', outcome: 'retrying', attempt: 1, status: 500, answer: 'so so' },
      { kind: 'decided', name: 'thanks', payload: { spend: 205 }, to: ['crm'], cause: { trigger: 'big' } },
    ]);
    expect(JSON.parse(receiver.received[0]!.body)).toMatchObject({ name: 'thanks', payload: { spend: 205 } });
  });

  it('is shown by `activations` and `tail deliveries`', async () => {
    const { out } = await api('activations');
    expect(out.split('\n')).toHaveLength(3);
    expect(out).toMatch(/decided thanks for crm, .* because of big, bought, message m-1/);
    expect(out).toMatch(/retrying thanks to crm, .*attempt 1, status 500, .*"so so", again at/);
    const failed = await api('activations', '--outcome', 'failed');
    expect(failed).toMatchObject({ code: 0, out: '' });
    const tail = await nats(
      'tail',
      'deliveries',
      '--all',
      '--no-follow',
      '--where',
      'delivery.status == 200',
    );
    expect(tail.out).toMatch(/^\S+ delivered thanks to crm, .*attempt 2/);
  });

  it('is followed by `trace`', async () => {
    const { out, code } = await nats('trace', 'm-1', '--json');
    expect(code).toBe(0);
    const steps = out
      .split('\n')
      .map((line) => JSON.parse(line) as { step: string; afterMs: number; detail: object });
    expect(steps.map(({ step }) => step)).toEqual(['logged', 'committed', 'decided', 'attempt', 'attempt']);
    expect(steps[0]).toMatchObject({ afterMs: 0, detail: { event: { messageId: 'm-1' } } });
    expect(steps[1]).toMatchObject({ detail: { applied: true } });
    expect(steps[4]).toMatchObject({ detail: { outcome: 'delivered' } });
    expect(steps.every(({ afterMs }, i) => i === 0 || afterMs >= steps[i - 1]!.afterMs)).toBe(true);
    expect((await nats('trace', 'm-1')).out).toMatch(
      /committed.*\n.*decided thanks.*\n.*retrying.*\n.*delivered/,
    );
  });

  it('that caused nothing is followed to its commit; an unknown one is not found', async () => {
    const { out } = await nats('trace', 'm-small');
    expect(out).toMatch(
      /^\S+ +\+0 ms logged Order Completed \{"email":"ann@example\.com"\} at sequence \d+ of shard \d/,
    );
    expect(out).toMatch(/committed, config 1, profile \S+: .*profile added/);
    expect((await nats('trace', 'm-none')).code).toBe(3);
  });
});
