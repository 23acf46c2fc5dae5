// `stitchwork doctor` against servers that are sound, and against servers that are not: each finding and the exit code.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEMO_CONFIG } from '../../infra/cli/dev.ts';
import type { CheckResult } from '../../infra/doctor/check.ts';
import { checkClock } from '../../infra/doctor/server-checks.ts';
import { resolveNatsServer } from '../../infra/nats-server/resolve.ts';
import { freePort, type NatsServerProcess, startNatsServer } from '../../infra/nats-server/start.ts';
import { segmentNames } from '../../shared/contract/names.ts';
import { systemClock } from '../../shared/kernel/clock.ts';
import { connectNats } from '../../shared/nats/connect.ts';
import { callApi, streamInfo } from '../../shared/nats/jetstream-api.ts';
import { ensureBuilt, eventually, type Running, runCliProcess, startCli } from './cli-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-doctor-e2e-'));
const names = segmentNames('shop');
const KEYS = { STITCHWORK_ADMIN_KEY: 'admin-of-test', STITCHWORK_WRITE_KEY: 'write-of-test' };

beforeAll(ensureBuilt);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Diagnosis {
  readonly code: number | null;
  readonly ok: boolean;
  readonly reachable: boolean;
  readonly checks: readonly CheckResult[];
  of(name: string): CheckResult | undefined;
}

async function doctor(
  args: readonly string[],
  env: Readonly<Record<string, string>> = KEYS,
): Promise<Diagnosis> {
  const { code, out } = await runCliProcess(['doctor', '--json', ...args], env);
  const answer = JSON.parse(out) as Omit<Diagnosis, 'code' | 'of'>;
  return { code, ...answer, of: (name) => answer.checks.find((check) => check.name === name) };
}

function problemsOf({ checks }: Diagnosis): readonly string[] {
  return checks.filter(({ status }) => status === 'problem').map(({ name }) => name);
}

async function startServer(name: string, config: string): Promise<NatsServerProcess> {
  const { path } = await resolveNatsServer();
  const dataDir = join(folder, name);
  mkdirSync(dataDir, { recursive: true });
  const configFile = join(folder, `${name}.conf`);
  writeFileSync(configFile, config);
  return startNatsServer({ binary: path, dataDir, configFile });
}

describe('nobody answers', () => {
  const args = ['--nats-url', 'nats://user:hidden@127.0.0.1:1', '--config', DEMO_CONFIG];

  it('exits 4, and still tells what can be told', async () => {
    const found = await doctor(args);
    expect(found).toMatchObject({ code: 4, ok: false, reachable: false });
    expect(found.of('Node')?.status).toBe('ok');
    expect(found.of(`config file ${DEMO_CONFIG}`)?.status).toBe('ok');
    expect(found.of('keys')?.status).toBe('ok');
    expect(found.of('nats-server')).toMatchObject({
      status: 'problem',
      fix: expect.stringContaining('nats.conf'),
    });
    expect(found.of('everything behind nats-server')?.status).toBe('skipped');
    expect(JSON.stringify(found.checks)).not.toMatch(/hidden|admin-of-test/);
  });

  it('is told to people in lines, each finding with its fix', async () => {
    const { code, out, err } = await runCliProcess(['doctor', ...args], KEYS);
    expect(code).toBe(4);
    expect(out).toMatch(/^ok +Node: /m);
    expect(out).toMatch(/^PROBLEM +nats-server: .*\n +-> start it/m);
    expect(err).toContain('cannot reach nats-server');
  });
});

describe('a server that is not set up for it', () => {
  let server: NatsServerProcess;
  beforeAll(async () => {
    server = await startServer('plain', 'max_payload: 1MB\n');
  });
  afterAll(() => server.stop());

  it('has small payloads and no JetStream: exit 5', async () => {
    const found = await doctor(['--nats-url', server.url], {});
    expect(found).toMatchObject({ code: 5, reachable: true });
    expect(problemsOf(found)).toEqual(['max_payload', 'JetStream']);
    expect(found.of('keys')?.status).toBe('warning');
    expect(found.of('segments')?.status).toBe('skipped');
  });
});

describe('a deployment', () => {
  let server: NatsServerProcess;
  let worker: Running;
  let monitorUrl: string;
  let args: readonly string[];

  beforeAll(async () => {
    const port = await freePort('127.0.0.1');
    monitorUrl = `http://127.0.0.1:${port}`;
    const jetStream = 'jetstream { sync_interval: always, max_file_store: 20GB }';
    server = await startServer('sound', `max_payload: 2MB\nhttp: "127.0.0.1:${port}"\n${jetStream}\n`);
    args = ['--nats-url', server.url, '--monitor-url', monitorUrl, '--data-dir', folder];
    worker = startCli(['worker', '--config', DEMO_CONFIG, '--json', '--log-level', 'warn'], {
      NATS_URL: server.url,
    });
    await worker.line();
  });
  afterAll(async () => {
    worker.child.kill('SIGTERM');
    await worker.finished;
    await server.stop();
  });

  it('that is sound has no problem: exit 0', async () => {
    const found = await eventually(
      () => doctor([...args, '--config', DEMO_CONFIG]),
      (answer) => answer.of('shop: shards')?.status === 'ok',
    );
    expect(problemsOf(found)).toEqual([]);
    expect(found).toMatchObject({ code: 0, ok: true });
    for (const name of [
      'nats-server',
      'JetStream',
      'clock',
      'shop: topology',
      'shop: copies',
      'shop: config in use',
    ]) {
      expect(found.of(name), name).toMatchObject({ status: 'ok' });
    }
    expect(found.of('sync to disk')).toMatchObject({ status: 'ok', found: 'sync_interval: always' });
    expect(found.of('JetStream storage')).toMatchObject({
      status: 'ok',
      found: expect.stringContaining('10.0 GB reserved'),
    });
    expect(found.of('shop: config')?.found).toContain('the same as');
    expect(found.of('shop: replicas')?.status).toBe('warning');
  });

  it('says what a client cannot see', async () => {
    const found = await doctor(['--nats-url', server.url]);
    expect(found.of('sync to disk')).toMatchObject({ status: 'skipped', found: 'not visible to a client' });
    expect(found.of('JetStream storage')).toMatchObject({
      status: 'skipped',
      found: expect.stringContaining('not visible'),
    });
  });

  it('whose streams were changed by hand, or whose config file is another', async () => {
    const door = await connectNats({ url: server.url, name: 'test' });
    const info = await streamInfo(door, names.eventsStream, 'LOG_UNAVAILABLE');
    await callApi(door, `STREAM.UPDATE.${names.eventsStream}`, { ...info?.config, duplicate_window: 1e9 });
    const other = join(folder, 'other.yaml');
    writeFileSync(other, 'segment: shop\nstitching:\n  keys:\n    - { name: email, limit: 1 }\n');
    const found = await doctor([...args, '--config', other]);
    await callApi(door, `STREAM.UPDATE.${names.eventsStream}`, { ...info?.config });
    await door.close();
    expect(found.code).toBe(5);
    expect(problemsOf(found)).toEqual(['shop: topology']);
    expect(found.of('shop: topology')?.found).toContain(`${names.eventsStream}.duplicate_window`);
    expect(found.of('shop: config')).toMatchObject({
      status: 'warning',
      found: expect.stringContaining('is another'),
    });
  });

  it('where a segment is asked for that is not there', async () => {
    const found = await doctor([...args, '--segment', 'nowhere']);
    expect(found.code).toBe(5);
    expect(found.of('nowhere: streams')).toMatchObject({ status: 'problem', found: 'not deployed' });
    expect(found.of('shop: topology')).toBeUndefined();
  });

  it('whose gateway was named and does not answer', async () => {
    const found = await doctor([...args, '--url', 'http://127.0.0.1:1']);
    expect(found.code).toBe(5);
    expect(problemsOf(found)).toEqual(['gateway']);
  });

  it('whose clock is another than that of this machine', async () => {
    const door = await connectNats({ url: server.url, name: 'test' });
    const ahead = (ms: number) => ({ ...systemClock, nowMs: () => systemClock.nowMs() + ms });
    const check = (ms: number) => checkClock(door, names.eventsStream, ahead(ms));
    expect(await check(0)).toMatchObject({ status: 'ok' });
    expect(await check(5000)).toMatchObject({
      status: 'warning',
      found: expect.stringMatching(/50\d\d ms ahead of|499\d ms ahead of/),
    });
    expect(await check(-5000)).toMatchObject({ status: 'warning', found: expect.stringContaining('behind') });
    expect(await check(600_000)).toMatchObject({ status: 'problem', fix: expect.stringContaining('NTP') });
    expect(await checkClock(door, 'NONE', systemClock)).toMatchObject({ status: 'skipped' });
    await door.close();
  });

  it('without a worker, and with events that wait', async () => {
    worker.child.kill('SIGTERM');
    await worker.finished;
    const door = await connectNats({ url: server.url, name: 'test' });
    await door.request(names.eventSubject(3, 'ingest'), 'garbage');
    await door.close();
    const found = await doctor(args);
    expect(found.code).toBe(5);
    expect(problemsOf(found)).toEqual(['shop: workers', 'shop: shards', 'shop: lag']);
    expect(found.of('shop: lag')?.found).toContain('1 messages to apply');
  });
});

describe('a server that does not sync', () => {
  it('is a problem, once its monitoring port is named', async () => {
    const port = await freePort('127.0.0.1');
    const server = await startServer('lazy', `max_payload: 2MB\nhttp: "127.0.0.1:${port}"\njetstream {}\n`);
    const found = await doctor(['--nats-url', server.url, '--monitor-url', `http://127.0.0.1:${port}`]);
    await server.stop();
    expect(found.code).toBe(5);
    expect(found.of('sync to disk')).toMatchObject({
      status: 'problem',
      found: expect.stringContaining('120 s'),
    });
    expect(found.of('segments')).toMatchObject({ status: 'warning', found: 'none is deployed' });
    expect(found.of('clock')?.status).toBe('skipped');
  });
});
