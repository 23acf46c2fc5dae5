// Operating a running system: what status, tail and metrics tell of real traffic; the dashboard asks for what is there.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StatusAnswer } from '../../infra/cli/status-view.ts';
import { packagePath } from '../../infra/package-root.ts';
import { segmentNames } from '../../shared/contract/names.ts';
import type { DevHandle } from '../../shared/settings.ts';
import {
  ensureBuilt,
  eventually,
  type Finished,
  type Running,
  runCliProcess,
  startCli,
} from './cli-process.ts';
import { type Family, lint, readScrape } from './prometheus-lint.ts';

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-ops-'));
const dataDir = join(folder, 'data');
let dev: Running;
let worker: Running;
let handle: DevHandle;
let workerUrl: string;

beforeAll(async () => {
  ensureBuilt();
  dev = startCli(['dev', '--port', '0', '--data-dir', dataDir, '--json', '--log-level', 'debug']);
  handle = JSON.parse(await dev.line()) as DevHandle;
  worker = startCli(['worker', '--segment', 'shop', '--port', '0', '--json', '--log-level', 'warn'], {
    NATS_URL: handle.natsUrl,
  });
  workerUrl = (JSON.parse(await worker.line()) as { url: string }).url;
  for (let i = 0; i < 20; i++)
    await post([bought(`I-${i}`), bought(`I-${i}`, { closes_invoice: true }, 'C-hot')]);
  await post([{ name: 'x', keys: { nobody: '1' } }, bought('I-x')]);
  const nats = await connect({ servers: handle.natsUrl });
  await nats.request(segmentNames('shop').eventSubject(3, 'ingest'), 'garbage');
  await nats.close();
  expect(await client('status', '--wait', '20s')).toMatchObject({ code: 0 });
});

afterAll(async () => {
  for (const process of [worker, dev]) {
    process.child.kill('SIGTERM');
    await process.finished;
  }
  rmSync(folder, { recursive: true, force: true });
});

function client(...args: readonly string[]): Promise<Finished> {
  return runCliProcess([...args, '--data-dir', dataDir]);
}

async function post(events: readonly object[]): Promise<void> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` };
  const answer = await fetch(`${handle.url}/v1/events`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ events }),
  });
  expect(answer.status).toBe(202);
}

function bought(invoice: string, properties: object = {}, customer?: string) {
  const keys = { invoice, ...(customer ? { customer_id: customer } : {}) };
  const sale = { qty: 1, price: 100, country: 'France', closes_invoice: false };
  return { name: 'Line Bought', keys, properties: { ...sale, ...properties } };
}

async function scrape(): Promise<readonly Family[]> {
  const families = await Promise.all(
    [handle.url, workerUrl].map(async (url) => readScrape(await (await fetch(`${url}/metrics`)).text())),
  );
  return families.flat();
}

/** Sum of all samples of the scrapes that begin with `start`. */
function sumIn(texts: readonly string[], start: string): number {
  return texts
    .flatMap((text) => text.split('\n'))
    .filter((line) => line.startsWith(start))
    .reduce((total, line) => total + Number(line.split(' ').at(-1)), 0);
}

describe('metrics', () => {
  it('follow the naming rules, and none is there twice', async () => {
    const own = (await scrape()).filter(({ name }) => name.startsWith('stitchwork_'));
    expect(own.length).toBeGreaterThan(40);
    expect(own.flatMap(lint)).toEqual([]);
  });

  it('the rules find what is wrong', () => {
    const family = { help: 'A sentence.', type: 'gauge', samples: [] };
    for (const bad of [
      { ...family, name: 'stitchwork_things_total' },
      { ...family, name: 'stitchwork_things', type: 'counter' },
      { ...family, name: 'stitchwork_wait_ms' },
      { ...family, name: 'stitchwork_bytes_in_flight' },
      { ...family, name: 'stitchwork_wait', type: 'histogram' },
      { ...family, name: 'stitchwork_things_count' },
      { ...family, name: 'stitchworkThings' },
      { ...family, name: 'stitchwork_things', help: '' },
      { ...family, name: 'stitchwork_lag', samples: [{ name: 'stitchwork_lag', labels: ['shard'] }] },
    ]) {
      expect(lint(bad), bad.name).not.toEqual([]);
    }
    expect(() => readScrape('# HELP a A.\n# TYPE a gauge\na 1\n# HELP a A.\n')).toThrow('twice');
    expect(() => readScrape('# HELP a A.\n# TYPE a gauge\nb 1\n')).toThrow('out of place');
  });

  it('tell of the traffic that there was', async () => {
    const owned = 'stitchwork_worker_shards_owned';
    const read = () =>
      Promise.all([handle.url, workerUrl].map(async (url) => (await fetch(`${url}/metrics`)).text()));
    // The second worker takes its share over bit by bit.
    const texts = await eventually(read, (all) => sumIn(all, owned) === 64);
    const sum = (start: string) => sumIn(texts, start);
    expect(sum('stitchwork_gateway_events_accepted_total{segment="shop"}')).toBe(41);
    expect(sum('stitchwork_gateway_events_rejected_total{segment="shop",code="UNKNOWN_KEY_NAME"}')).toBe(1);
    expect(sum('stitchwork_worker_messages_total{segment="shop"}')).toBe(42);
    expect(sum('stitchwork_worker_event_age_seconds_count{segment="shop"}')).toBe(42);
    expect(sum('stitchwork_worker_batch_messages_sum{segment="shop"}')).toBe(42);
    expect(sum('stitchwork_worker_dead_letters_total')).toBe(1);
    expect(sum('stitchwork_identity_facts_total{segment="shop",kind="profile_added"')).toBe(21);
    expect(sum('stitchwork_identity_facts_total{segment="shop",kind="key_attached"')).toBe(22);
    expect(sum('stitchwork_gateway_appends_in_flight')).toBe(0);
    expect(sum('stitchwork_gateway_append_waiting_bytes')).toBe(0);
    // Gateway, worker, batch and activator of the dev process, and the second worker.
    expect(sum('stitchwork_nats_connected')).toBe(5);
    expect(sum('process_cpu_seconds_total')).toBeGreaterThan(0);
  });

  it('of each role are all there', async () => {
    const names = new Set((await scrape()).map(({ name }) => name));
    for (const name of [
      'stitchwork_build_info',
      'stitchwork_worker_commit_seconds',
      'stitchwork_worker_conflicts_total',
      'stitchwork_worker_lag_messages',
      'stitchwork_worker_resident_records',
      'stitchwork_worker_config_version',
      'stitchwork_copy_lag_messages',
      'stitchwork_event_log_usage_ratio',
      'stitchwork_gateway_append_seconds',
      'stitchwork_gateway_requests_refused_total',
      'nodejs_eventloop_lag_p99_seconds',
      'process_resident_memory_bytes',
    ]) {
      expect(names).toContain(name);
    }
  });
});

describe('the dashboard', () => {
  const text = readFileSync(packagePath('infra/grafana/stitchwork.json'), 'utf8');
  const dashboard = JSON.parse(text) as {
    panels: readonly { id: number; type: string; title: string; targets?: readonly { expr: string }[] }[];
    templating: { list: readonly { name: string; query: unknown }[] };
  };
  const expressions = [
    ...dashboard.panels.flatMap((panel) => (panel.targets ?? []).map(({ expr }) => expr)),
    ...dashboard.templating.list.map(({ query }) => JSON.stringify(query)),
  ];
  const metricsIn = (expr: string) => expr.match(/\b(stitchwork|process|nodejs)_\w+/g) ?? [];

  it('asks only for metrics that a running system has', async () => {
    const families = await scrape();
    const known = new Set(
      families.flatMap(({ name, type }) =>
        type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => `${name}${suffix}`) : [name],
      ),
    );
    const asked = [...new Set(expressions.flatMap(metricsIn))];
    expect(asked.length).toBeGreaterThan(35);
    expect(asked.filter((name) => !known.has(name))).toEqual([]);
  });

  it('shows every metric of ours', async () => {
    const asked = expressions.join(' ');
    const own = (await scrape()).map(({ name }) => name).filter((name) => name.startsWith('stitchwork_'));
    expect([...new Set(own)].filter((name) => !asked.includes(name))).toEqual([]);
  });

  it('sums by labels that its metrics have', async () => {
    const labels = new Map<string, Set<string>>();
    for (const { name, samples } of await scrape()) {
      const known = labels.get(name) ?? new Set<string>();
      for (const sample of samples) for (const label of sample.labels) known.add(label);
      labels.set(name, known);
    }
    const wrong = expressions.flatMap((expr) => {
      const family = metricsIn(expr)[0]?.replace(/_(bucket|sum|count)$/, '') ?? '';
      const known = labels.get(family) ?? labels.get(metricsIn(expr)[0] ?? '');
      const by = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap((match) =>
        match[1]!.split(',').map((l) => l.trim()),
      );
      // Without a sample (nothing was refused yet) the labels cannot be seen; `instance` comes from the scrape.
      if (!known || known.size === 0) return [];
      return by
        .filter((label) => label !== 'instance' && !known.has(label))
        .map((label) => `${label} in ${expr}`);
    });
    expect(wrong).toEqual([]);
  });

  it('has its rows, and every panel an id of its own', () => {
    const rows = dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title);
    expect(rows).toEqual([
      'Liveness',
      'Ingest',
      'Apply',
      'Identity',
      'Commit',
      'Copies',
      'Processes',
      'Archive',
      'Batch jobs and changed rows',
      'Deliveries',
      'Personalization',
    ]);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });
});

describe('status', () => {
  it('tells what workers do, which records are hot, how copies stand', async () => {
    const { code, out } = await client('status', '--json');
    expect(code).toBe(0);
    const [segment] = (JSON.parse(out) as StatusAnswer).segments;
    expect(segment).toMatchObject({ name: 'shop', lag: 0, lastCommitAt: expect.any(String) });
    expect(segment?.log).toMatchObject({ messages: 42, bytesMax: 10e9 });
    expect(segment?.copies.map(({ name, running }) => [name, running])).toEqual([
      ['activations', true],
      ['audit', true],
      ['dead', true],
      ['timers', true],
    ]);
    const activities = segment?.workers.flatMap(({ activity }) => activity ?? []) ?? [];
    expect(activities).toHaveLength(2);
    expect(activities.reduce((total, { deadLetters }) => total + deadLetters, 0)).toBe(1);
    // All invoices end at one customer, whose profile is written most, by both workers.
    const found = await client('profile', 'get', 'customer_id', 'C-hot', '--json');
    const { id } = JSON.parse(found.out) as { id: string };
    const writes = activities.flatMap(({ hotWrites }) => hotWrites);
    expect(writes.map(({ record }) => record)).toContain(`p.${id}`);
    expect(out).not.toContain(Buffer.from('C-hot').toString('base64url'));
  });

  it('--watch goes on until Ctrl-C, then ends with exit 0', async () => {
    const watch = startCli(['status', '--watch', '--json', '--data-dir', dataDir]);
    const first = JSON.parse(await watch.line()) as StatusAnswer & { time: string };
    const second = await watch.line((line) => !line.includes(first.time));
    expect(JSON.parse(second)).toMatchObject({ segments: [{ name: 'shop' }] });
    watch.child.kill('SIGINT');
    expect(await watch.finished).toMatchObject({ code: 0, err: '' });
  });
});

describe('tail --where', () => {
  const lines = (out: string) =>
    out === '' ? [] : out.split('\n').map((line) => JSON.parse(line) as { body: never });

  it('filters events as the conditions of the config see them', async () => {
    const where = 'event.properties.closes_invoice && event.keys.invoice == "I-7"';
    const { code, out, err } = await client('tail', '--all', '--no-follow', '--json', '--where', where);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(lines(out)).toMatchObject([
      { body: { event: { keys: { invoice: 'I-7', customer_id: 'C-hot' } } } },
    ]);
  });

  it('counts what it could not evaluate, and tells at the end', async () => {
    const where = 'event.properties.price < event.name';
    const { code, out, err } = await client('tail', '--all', '--no-follow', '--where', where);
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(err).toContain('could not be evaluated on 41 messages');
  });

  it('keeps to --limit and --since', async () => {
    const some = await client(
      'tail',
      '--since',
      '10m',
      '--no-follow',
      '--json',
      '--limit',
      '2',
      '--where',
      'has(event.name)',
    );
    expect(lines(some.out)).toHaveLength(2);
    const all = await client('tail', '--since', '10m', '--no-follow', '--json');
    expect(lines(all.out)).toHaveLength(42);
    const none = await client('tail', '--since', '1ms', '--no-follow', '--json');
    expect(lines(none.out)).toHaveLength(0);
  });

  it('filters activations and audit entries, also while following', async () => {
    const merged = await eventually(
      () =>
        client(
          'tail',
          'audit',
          '--all',
          '--no-follow',
          '--json',
          '--where',
          'audit.kind == "profiles_merged"',
        ),
      ({ out }) => lines(out).length === 19,
    );
    expect(merged.code).toBe(0);
    const condition = 'activation.payload.spend >= 1000.0 && subject.endsWith("vip_welcome")';
    const tail = startCli([
      'tail',
      'activations',
      '--since',
      '10m',
      '--json',
      '--where',
      condition,
      '--data-dir',
      dataDir,
    ]);
    expect(JSON.parse(await tail.line())).toMatchObject({ body: { name: 'vip_welcome' } });
    tail.child.kill('SIGINT');
    expect((await tail.finished).code).toBe(0);
  });
});

describe('logs', () => {
  it('--log-level debug shows the way of one event, under ids', async () => {
    await post([{ ...bought('I-log'), messageId: 'the-one' }]);
    expect(await client('status', '--wait', '20s')).toMatchObject({ code: 0 });
    dev.child.kill('SIGTERM');
    const { err } = await dev.finished;
    const line = err.split('\n').find((text) => text.includes('events appended') && text.includes('the-one'));
    expect(JSON.parse(line ?? '{}')).toMatchObject({
      segment: 'shop',
      outcome: 'stored',
      messageIds: ['the-one'],
    });
  });
});
