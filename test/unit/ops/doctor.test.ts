// What the checks of `stitchwork doctor` make of what they find. Those that need a server are in test/e2e/ops-doctor.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { SegmentStatus } from '../../../gateway/status/read-status.ts';
import { guarded } from '../../../infra/doctor/check.ts';
import {
  checkConfigFiles,
  checkDisk,
  checkEnvironment,
  checkKeys,
  checkNode,
  NODE_MIN,
} from '../../../infra/doctor/local-checks.ts';
import {
  judgeCopies,
  judgeLag,
  judgeLog,
  judgeShards,
  judgeVersions,
  judgeWorkers,
} from '../../../infra/doctor/segment-checks.ts';
import { checkDurability, checkServerVersion } from '../../../infra/doctor/server-checks.ts';
import { packagePath } from '../../../infra/package-root.ts';
import { StitchworkError } from '../../../shared/kernel/errors.ts';
import { parseClientSettings } from '../../../shared/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-doctor-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SOUND: SegmentStatus = {
  name: 'shop',
  configVersion: 3,
  lag: 0,
  lastCommitAt: '2026-11-22T10:00:00.000Z',
  shards: [{ shard: 0, owner: 'w1', lag: 0, lastCommitAt: null }],
  alarms: [],
  workers: [{ id: 'w1', startedAt: '', configVersion: 3, configSince: null, shards: 1, activity: null }],
  copies: [{ name: 'audit', lag: 5, running: true, error: null }],
  log: { messages: 1, bytes: 10, bytesMax: 100 },
};
const NOW_MS = Date.parse('2026-11-22T10:00:05.000Z');

function status(part: Partial<SegmentStatus>): SegmentStatus {
  return { ...SOUND, ...part };
}

describe('this machine', () => {
  it('needs the Node that the package needs', () => {
    const { engines } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as {
      engines: { node: string };
    };
    expect(NODE_MIN.startsWith(engines.node.replace('>=', ''))).toBe(true);
  });

  it.each([
    ['20.19.0', 'ok'],
    ['20.18.9', 'problem'],
    ['18.20.0', 'problem'],
    ['22.1.0', 'ok'],
    ['23.5.0', 'warning'],
    ['24.0.0', 'ok'],
  ])('Node %s is %s', (version, expected) => {
    expect(checkNode(version).status).toBe(expected);
  });

  it('settings in the environment are checked, keys are named and never shown', () => {
    expect(checkEnvironment({ STITCHWORK_SHARDS: 'many', STITCHWORK_ADMIN_KEY: 'short' })).toMatchObject({
      status: 'problem',
      found: expect.stringMatching(/STITCHWORK_ADMIN_KEY.*--shards/),
    });
    const env = { STITCHWORK_ADMIN_KEY: 'secret-admin-key' };
    const results = [checkEnvironment(env), checkKeys(env, parseClientSettings({}, env, undefined))];
    expect(results.map(({ status: found }) => found)).toEqual(['ok', 'warning']);
    expect(results[1]?.found).toBe('not set: STITCHWORK_WRITE_KEY');
    expect(JSON.stringify(results)).not.toContain('secret');
  });

  it('config files are read and validated', async () => {
    const bad = join(folder, 'bad.yaml');
    writeFileSync(bad, 'segment: shop\nstitching:\n  keys: []\n');
    const files = [packagePath('infra/demo/shop.yaml'), bad, join(folder, 'none.yaml')];
    const { results, sources } = await checkConfigFiles(files);
    expect(results.map((result) => result.status)).toEqual(['ok', 'problem', 'problem']);
    expect(results[1]?.found).toContain('stitching.keys');
    expect(sources.map(({ source }) => source.config.segment)).toEqual(['shop']);
  });

  it('disk: room now, and for what the logs may still take', async () => {
    expect((await checkDisk(join(folder, 'nowhere'), undefined)).status).toBe('skipped');
    expect((await checkDisk(folder, 1e18)).status).toBe('ok');
    mkdirSync(join(folder, 'nats'));
    expect(await checkDisk(folder, 1e18)).toMatchObject({
      status: 'warning',
      found: expect.stringContaining('may still grow'),
    });
  });
});

describe('nats-server', () => {
  it.each([
    ['2.14.3', 'problem'],
    ['2.14.4', 'warning'],
    ['2.15.0', 'warning'],
    ['2.15.1', 'ok'],
    ['2.16.0-preview.1', 'ok'],
  ])('%s is %s', (version, expected) => {
    expect(checkServerVersion(version).status).toBe(expected);
  });

  it('durability is told only by the monitoring port', () => {
    const monitor = { kind: 'ok', syncAlways: true, syncIntervalMs: 120_000, maxStorage: 1e9 } as const;
    expect(checkDurability(monitor, false).status).toBe('ok');
    expect(checkDurability({ ...monitor, syncAlways: false }, false)).toMatchObject({
      status: 'problem',
      found: expect.stringContaining('120 s'),
      fix: expect.stringContaining('sync_interval: always'),
    });
    expect(checkDurability({ kind: 'not_asked' }, false)).toMatchObject({
      status: 'skipped',
      found: 'not visible to a client',
    });
    expect(checkDurability({ kind: 'failed', reason: 'refused' }, true).status).toBe('problem');
  });
});

describe('a segment', () => {
  const judges = [judgeWorkers, judgeShards, judgeLog, judgeCopies];

  it('that is sound has no findings', () => {
    for (const judge of judges) expect(judge(SOUND, 'n').status).toBe('ok');
    expect(judgeVersions(SOUND, 3, 'n').status).toBe('ok');
    expect(judgeLag(SOUND, NOW_MS, 'n').status).toBe('ok');
  });

  it('without a worker, or with a silent one', () => {
    expect(judgeWorkers(status({ workers: [] }), 'n').status).toBe('problem');
    expect(judgeVersions(status({ workers: [] }), 3, 'n').status).toBe('skipped');
    const alarms = [{ code: 'WORKER_SILENT', reason: '', shard: null, worker: 'w9' }];
    expect(judgeWorkers(status({ alarms }), 'n')).toMatchObject({
      status: 'problem',
      found: 'no answer from w9',
    });
  });

  it('where a worker decides by an older config', () => {
    expect(judgeVersions(SOUND, 4, 'n')).toMatchObject({
      status: 'problem',
      found: 'version 4 is in force, but w1 decides by 3',
    });
  });

  it('with halted shards, or shards that nobody owns', () => {
    const alarms = [{ code: 'LOG_TRUNCATED', reason: 'shorter', shard: 5, worker: 'w1' }];
    expect(judgeShards(status({ alarms }), 'n')).toMatchObject({
      status: 'problem',
      found: expect.stringContaining('5 LOG_TRUNCATED: shorter'),
    });
    const shards = [{ shard: 0, owner: null, lag: 0, lastCommitAt: null }];
    expect(judgeShards(status({ shards }), 'n').status).toBe('warning');
    expect(judgeShards(status({ shards, workers: [] }), 'n').status).toBe('problem');
  });

  it('that lags: a backlog is a warning, a stall a problem', () => {
    expect(judgeLag(status({ lag: 500 }), NOW_MS, 'n').status).toBe('ok');
    expect(judgeLag(status({ lag: 200_000 }), NOW_MS, 'n').status).toBe('warning');
    expect(judgeLag(status({ lag: 1 }), NOW_MS + 60_000, 'n').status).toBe('problem');
    expect(judgeLag(status({ lag: 1, lastCommitAt: null }), NOW_MS, 'n').status).toBe('problem');
    expect(judgeLag(status({ lag: 0 }), NOW_MS + 3_600_000, 'n').status).toBe('ok');
  });

  it.each([
    [79, 'ok'],
    [80, 'warning'],
    [95, 'problem'],
  ])('whose log is %d %% full is %s', (bytes, expected) => {
    expect(judgeLog(status({ log: { messages: 1, bytes, bytesMax: 100 } }), 'n').status).toBe(expected);
  });

  it('whose copies stand still or lag', () => {
    const still = [{ name: 'audit', lag: 0, running: false, error: 'stream not found' }];
    expect(judgeCopies(status({ copies: still }), 'n')).toMatchObject({
      status: 'problem',
      found: 'not running: audit (stream not found)',
    });
    const slow = [{ name: 'audit', lag: 10_000, running: true, error: null }];
    expect(judgeCopies(status({ copies: slow }), 'n').status).toBe('warning');
  });

  it('every finding that is not ok says what to do', () => {
    const bad = status({
      workers: [],
      log: { messages: 1, bytes: 99, bytesMax: 100 },
      lag: 9,
      lastCommitAt: null,
    });
    for (const result of [...judges.map((judge) => judge(bad, 'n')), judgeLag(bad, NOW_MS, 'n')]) {
      if (result.status !== 'ok') expect(result.fix).toBeTruthy();
    }
  });
});

it('a check that breaks is a problem of its own, with the code of the error', async () => {
  const results = await guarded('topology', async () => {
    throw new StitchworkError('LOG_UNAVAILABLE', 'gone');
  });
  expect(results).toMatchObject([
    { name: 'topology', status: 'problem', found: expect.stringContaining('LOG_UNAVAILABLE: gone') },
  ]);
});
