// The product as its user meets it: a dev process, events over HTTP, and every client command against it.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { segmentNames } from '../../shared/contract/names.ts';
import type { DeadLetter } from '../../shared/contract/outbox.ts';
import type { DevHandle } from '../../shared/settings.ts';
import {
  ensureBuilt,
  eventually,
  type Finished,
  type Running,
  runCliProcess,
  startCli,
} from './cli-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-e2e-'));
const dataDir = join(folder, 'data');
const names = segmentNames('shop');
let dev: Running;
let handle: DevHandle;

async function startDev(): Promise<void> {
  dev = startCli(['dev', '--port', '0', '--data-dir', dataDir, '--json']);
  handle = JSON.parse(await dev.line()) as DevHandle;
}

beforeAll(async () => {
  ensureBuilt();
  await startDev();
});

afterAll(async () => {
  dev.child.kill('SIGTERM');
  await dev.finished;
  rmSync(folder, { recursive: true, force: true });
});

/** A client command next to the dev process: found by its data folder alone. */
function client(...args: readonly string[]): Promise<Finished> {
  return runCliProcess([...args, '--data-dir', dataDir]);
}

async function post(events: readonly object[], key = handle.writeKey): Promise<Response> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  return fetch(`${handle.url}/v1/events`, { method: 'POST', headers, body: JSON.stringify({ events }) });
}

async function applied(): Promise<void> {
  expect(await client('status', '--wait', '20s', '--json')).toMatchObject({ code: 0 });
}

function bought(invoice: string, properties: object, customer?: string) {
  const keys = { invoice, ...(customer ? { customer_id: customer } : {}) };
  return {
    name: 'Line Bought',
    keys,
    properties: { qty: 1, price: 10, country: 'France', closes_invoice: false, ...properties },
  };
}

describe('next to a dev process', () => {
  it('dev leaves a note for clients that only its owner can read', () => {
    expect(statSync(join(dataDir, 'dev.json')).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(join(dataDir, 'dev.json'), 'utf8'))).toEqual(handle);
    expect(handle.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  it('an event becomes a profile', async () => {
    const answer = await post([
      bought('I-1', { qty: 3 }),
      bought('I-1', { qty: 2, closes_invoice: true }, 'C-1'),
    ]);
    expect(answer.status).toBe(202);
    expect(await answer.json()).toMatchObject({ accepted: 2, rejected: [] });
    await applied();
    const found = await client('profile', 'get', 'customer_id', 'C-1', '--json');
    expect(found.code).toBe(0);
    expect(JSON.parse(found.out)).toMatchObject({
      keys: { customer_id: ['C-1'], invoice: ['I-1'] },
      attributes: { orders: 1, units: 5, spend: 50, country: 'France' },
    });
    const byId = await client('profile', 'get', 'id', (JSON.parse(found.out) as { id: string }).id);
    expect(byId).toMatchObject({ code: 0, out: expect.stringContaining('customer_id: C-1') });
  });

  it('status shows owners and no lag', async () => {
    const { code, out } = await client('status', '--json');
    expect(code).toBe(0);
    const status = JSON.parse(out) as {
      segments: { name: string; lag: number; shards: { owner: string | null }[] }[];
      workers: object[];
    };
    expect(status.segments).toMatchObject([{ name: 'shop', lag: 0 }]);
    expect(status.segments[0]?.shards.every((shard) => shard.owner !== null)).toBe(true);
    expect(status.workers).toHaveLength(1);
    expect((await client('status')).out).toMatch(
      /SEGMENT +CONFIG +SHARDS OWNED +LAG +LAST COMMIT +LOG\nshop +1 +64\/64 +0/,
    );
  });

  it('tail reads what is there', async () => {
    const events = await client('tail', 'events', '--all', '--no-follow', '--json');
    expect(events.code).toBe(0);
    const bodies = events.out
      .split('\n')
      .map((line) => JSON.parse(line) as { subject: string; body: { event: { name: string } } });
    expect(bodies.map(({ body }) => body.event.name)).toEqual(['Line Bought', 'Line Bought']);
    const audit = await eventually(
      () => client('tail', 'audit', '--all', '--no-follow', '--json'),
      ({ out }) => out.includes('profile_added'),
    );
    expect(audit.code).toBe(0);
  });

  it('tail follows activations as they fire', async () => {
    const tail = startCli(['tail', 'activations', '--since', '1m', '--json', '--data-dir', dataDir]);
    await post([bought('I-2', { qty: 200, closes_invoice: true }, 'C-2')]);
    const line = JSON.parse(await tail.line()) as { body: { name: string; payload: object } };
    expect(line.body).toMatchObject({ name: 'vip_welcome', payload: { customer: 'C-2', spend: 2000 } });
    tail.child.kill('SIGINT');
    expect((await tail.finished).code).toBe(0);
  });
});

describe('dead letters', () => {
  const letters = async () => {
    const { out } = await client('dead', 'list', '--json');
    return out === '' ? [] : out.split('\n').map((line) => JSON.parse(line) as DeadLetter);
  };

  it('are listed, shown and redriven', async () => {
    expect(await letters()).toEqual([]);
    const nats = await connect({ servers: handle.natsUrl });
    await nats.request(names.eventSubject(3, 'ingest'), 'garbage');
    await nats.close();
    const [letter] = await eventually(letters, (all) => all.length === 1);
    expect(letter).toMatchObject({
      segment: 'shop',
      shard: 3,
      payloadBase64: Buffer.from('garbage').toString('base64'),
    });
    const id = letter?.id ?? '';
    expect((await client('dead', 'list')).out).toContain(id);
    expect(JSON.parse((await client('dead', 'show', id)).out)).toEqual(letter);
    expect(await client('dead', 'redrive', id)).toMatchObject({
      code: 0,
      out: '1 appended to the event log again',
    });
    const both = await eventually(letters, (all) => all.length === 2);
    expect(both[0]).toMatchObject({ payloadBase64: letter?.payloadBase64, shard: 3 });
    expect(both[0]?.sequence).toBeGreaterThan(letter?.sequence ?? 0);
  });

  it('do not stop their shard', applied);
});

describe('replay', () => {
  const ROWS = 1500;
  const file = join(folder, 'orders.csv');
  const args = [
    'replay',
    file,
    '--set',
    'name=Line Bought',
    '--map',
    'keys.invoice=invoice',
    '--map',
    'keys.customer_id=customer',
    '--map',
    'properties.qty=qty:number',
    '--map',
    'properties.price=price:number',
    '--map',
    'properties.closes_invoice=last:boolean',
  ];
  const position = () => {
    const notes = join(dataDir, 'replay');
    const [name] = existsSync(notes) ? readdirSync(notes).filter((entry) => entry.endsWith('.json')) : [];
    return name === undefined
      ? 0
      : (JSON.parse(readFileSync(join(notes, name), 'utf8')) as { rows: number }).rows;
  };

  it('killed in the middle, goes on where it stopped, and every row counts once', async () => {
    const rows = Array.from({ length: ROWS }, (_, i) => `R-${i},C-replay,2,1.5,true`);
    writeFileSync(
      file,
      `invoice,customer,qty,price,last\n${rows.join('\n')}\nR-broken,C-replay,many,1.5,true\n`,
    );
    const first = startCli([...args, '--rate', '1000/s', '--data-dir', dataDir]);
    await eventually(
      async () => position(),
      (at) => at > 0,
    );
    first.child.kill('SIGKILL');
    await first.finished;
    const stoppedAt = position();
    expect(stoppedAt).toBeLessThan(ROWS);

    const second = await client(...args, '--json');
    expect(second.err).toContain(`resuming after row ${stoppedAt}`);
    expect(second.err).toContain(`line ${ROWS + 2}: column qty: "many" is not a number`);
    expect(second.code).toBe(5);
    expect(JSON.parse(second.out)).toMatchObject({
      rows: ROWS + 1,
      sent: ROWS,
      sentNow: ROWS - stoppedAt,
      broken: 1,
      rejected: 0,
    });

    const third = await client(...args, '--json');
    expect(JSON.parse(third.out)).toMatchObject({ rows: ROWS + 1, sentNow: 0 });
    await applied();
    const found = await client('profile', 'get', 'customer_id', 'C-replay', '--json');
    expect(JSON.parse(found.out)).toMatchObject({
      attributes: { orders: ROWS, units: 2 * ROWS, spend: 3 * ROWS },
    });
  });

  it('refuses to go on with another mapping', async () => {
    expect(await client(...args, '--set', 'table=web')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--restart'),
    });
  });
});

describe('exit codes', () => {
  it('3: no such profile, no such dead letter', async () => {
    expect((await client('profile', 'get', 'customer_id', 'nobody')).code).toBe(3);
    expect((await client('dead', 'show', '0.0')).code).toBe(3);
  });

  it('1: a key that is not known', async () => {
    expect(await client('status', '--key', 'wrong-key')).toMatchObject({
      code: 1,
      err: expect.stringContaining('UNAUTHORIZED'),
    });
  });

  it('2: an unknown flag', async () => {
    expect(await client('status', '--jsn')).toMatchObject({
      code: 2,
      err: expect.stringContaining('Did you mean --json?'),
    });
  });

  it('4: nobody answers, over HTTP and over NATS', async () => {
    expect((await client('status', '--url', 'http://127.0.0.1:1')).code).toBe(4);
    expect((await client('dead', 'list', '--nats-url', 'nats://127.0.0.1:1')).code).toBe(4);
    expect(
      (await runCliProcess(['worker', '--segment', 'shop', '--nats-url', 'nats://127.0.0.1:1'])).code,
    ).toBe(4);
  });

  it('5: a config with problems, each with its place', async () => {
    const bad = join(folder, 'bad.yaml');
    writeFileSync(
      bad,
      'segment: shop\nstitching:\n  keys:\n    - { name: Bad Name, limit: 0 }\nnonsense: 1\n',
    );
    const { code, out } = await runCliProcess(['validate', bad]);
    expect(code).toBe(5);
    expect(out).toMatch(/bad\.yaml:4:\d+: /);
    expect(out).toMatch(/bad\.yaml:5:\d+: /);
    expect((await runCliProcess(['validate', 'infra/demo/shop.yaml'])).code).toBe(0);
  });
});

describe('roles on their own', () => {
  it('a second worker and a gateway join, serve, and leave with exit 0', async () => {
    const env = {
      NATS_URL: handle.natsUrl,
      STITCHWORK_ADMIN_KEY: 'admin-of-test',
      STITCHWORK_WRITE_KEY: 'write-of-test',
    };
    const worker = startCli(
      ['worker', '--segment', 'shop', '--port', '0', '--json', '--log-level', 'warn'],
      env,
    );
    const gateway = startCli(
      ['gateway', '--segment', 'shop', '--port', '0', '--json', '--log-level', 'warn'],
      env,
    );
    const { url, id } = JSON.parse(await worker.line()) as { url: string; id: string };
    const { url: gatewayUrl } = JSON.parse(await gateway.line()) as { url: string };
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('stitchwork_worker_shards_owned');
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    const status = () => runCliProcess(['status', '--json', '--url', gatewayUrl], env);
    const shared = await eventually(status, ({ out }) => out.includes(`"owner":"${id}"`));
    expect(JSON.parse(shared.out)).toMatchObject({ workers: [{}, {}] });
    worker.child.kill('SIGTERM');
    expect((await worker.finished).code).toBe(0);
    await eventually(status, ({ out }) => !out.includes(id) && !out.includes('"owner":null'));
    gateway.child.kill('SIGTERM');
    expect((await gateway.finished).code).toBe(0);
  });
});

describe('a restart of dev', () => {
  const oneProfile = async () =>
    JSON.parse((await client('profile', 'get', 'customer_id', 'C-1', '--json')).out) as unknown;

  it('after SIGTERM goes on with the same data and keys', async () => {
    const before = await oneProfile();
    const { adminKey } = handle;
    dev.child.kill('SIGTERM');
    expect((await dev.finished).code).toBe(0);
    await startDev();
    expect(handle.adminKey).toBe(adminKey);
    expect(await oneProfile()).toEqual(before);
  });

  it('after kill -9 too', async () => {
    const before = await oneProfile();
    dev.child.kill('SIGKILL');
    await dev.finished;
    await startDev();
    expect(await oneProfile()).toEqual(before);
    await post([bought('I-9', { closes_invoice: true }, 'C-9')]);
    await applied();
    expect((await client('profile', 'get', 'customer_id', 'C-9')).code).toBe(0);
  });

  it('a second dev on the same data is refused', async () => {
    const second = await runCliProcess(['dev', '--port', '0', '--data-dir', dataDir]);
    expect(second).toMatchObject({ code: 1, err: expect.stringContaining('already') });
  });
});
