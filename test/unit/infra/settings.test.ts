// Settings: precedence, every problem at once, no secret in any text.
import { describe, expect, it } from 'vitest';
import { isStitchworkError } from '../../../shared/kernel/errors.ts';
import { type DevHandle, parseClientSettings, parseRoleSettings } from '../../../shared/settings.ts';

function problemOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isStitchworkError(error, 'INVALID_SETTINGS')) return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('settings of a role', () => {
  it('has a default for everything', () => {
    expect(parseRoleSettings({}, {})).toEqual({
      allowNetworks: [],
      trustedProxies: [],
      configFiles: [],
      segments: [],
      natsUrl: undefined,
      host: '127.0.0.1',
      port: undefined,
      dataDir: '.stitchwork',
      logLevel: 'info',
      adminKeys: [],
      tlsPort: undefined,
      treasureDataHosts: [],
      writeKeys: [],
      topology: { shards: 64, replicas: 1, eventsBytesMax: 10e9, activationsAgeMs: 30 * 86_400_000 },
      eventsRetentionMs: 7 * 86_400_000,
      archiveFlushMs: 10_000,
      jobsDir: '.stitchwork/jobs',
      exports: { cron: undefined, timezone: 'UTC', dir: '.stitchwork/exports', keep: 7 },
      testPhaseFile: undefined,
      testCrashAt: undefined,
    });
  });

  it('https and hosts of Treasure Data when asked for', () => {
    expect(parseRoleSettings({ tls: true }, {}).tlsPort).toBe(8443);
    expect(parseRoleSettings({ tls: true, port: '0' }, {}).tlsPort).toBe(0);
    expect(parseRoleSettings({ tlsPort: '444' }, {}).tlsPort).toBe(444);
    expect(() => parseRoleSettings({ tlsPort: 'x' }, {})).toThrow('--tls-port "x"');
    expect(parseRoleSettings({}, { STITCHWORK_TD_HOST: 'a.example, *' }).treasureDataHosts).toEqual([
      'a.example',
      '*',
    ]);
    expect(() => parseRoleSettings({ tdHost: ['a.example:1'] }, {})).toThrow('without a port');
  });

  it('takes a flag before the environment', () => {
    const env = {
      STITCHWORK_PORT: '1',
      STITCHWORK_HOST: 'h',
      NATS_URL: 'nats://env:4222',
      STITCHWORK_CONFIG: 'a.yaml,b.yaml',
    };
    expect(parseRoleSettings({}, env)).toMatchObject({
      port: 1,
      host: 'h',
      natsUrl: 'nats://env:4222',
      configFiles: ['a.yaml', 'b.yaml'],
    });
    const flags = { port: '0', natsUrl: 'nats://flag:4222', config: ['c.yaml'] };
    expect(parseRoleSettings(flags, env)).toMatchObject({
      port: 0,
      natsUrl: 'nats://flag:4222',
      configFiles: ['c.yaml'],
    });
  });

  it('takes comma-separated keys', () => {
    const env = { STITCHWORK_ADMIN_KEY: 'admin-key-1, admin-key-2', STITCHWORK_WRITE_KEY: 'write-key-1' };
    expect(parseRoleSettings({}, env)).toMatchObject({
      adminKeys: ['admin-key-1', 'admin-key-2'],
      writeKeys: ['write-key-1'],
    });
  });

  it('treats an empty variable as not set', () => {
    expect(parseRoleSettings({}, { STITCHWORK_PORT: '', NATS_URL: ' ' })).toMatchObject({
      port: undefined,
      natsUrl: undefined,
    });
  });

  it('tells every problem in one message', () => {
    const flags = {
      port: '70000',
      logLevel: 'loud',
      shards: '0',
      replicas: 'x',
      segment: ['Shop!'],
      eventsMaxBytes: 'lots',
      activationsAge: 'long',
      eventsRetention: '5',
    };
    const text = problemOf(() => parseRoleSettings(flags, { STITCHWORK_TEST_CRASH_AT: 'now' }));
    for (const name of [
      '--port',
      '--log-level',
      '--shards',
      '--replicas',
      '--segment',
      '--events-max-bytes',
      '--activations-age',
      '--events-retention',
      'STITCHWORK_TEST_CRASH_AT',
    ]) {
      expect(text).toContain(name);
    }
  });

  it('never prints a key or a URL with a password', () => {
    const env = {
      STITCHWORK_ADMIN_KEY: 'hunter2',
      STITCHWORK_WRITE_KEY: 'sécrét-key-long',
      NATS_URL: 'http://me:pass@host',
    };
    const text = problemOf(() => parseRoleSettings({}, env));
    expect(text).toContain('STITCHWORK_ADMIN_KEY: key number 1 is shorter than 8 characters');
    expect(text).toContain('STITCHWORK_WRITE_KEY');
    expect(text).toContain('NATS_URL');
    expect(text).not.toMatch(/hunter2|sécrét|pass/);
  });

  it('reads sizes and the crash hook', () => {
    const settings = parseRoleSettings(
      { eventsMaxBytes: '64MB' },
      { STITCHWORK_TEST_CRASH_AT: 'committing:3' },
    );
    expect(settings.topology.eventsBytesMax).toBe(64e6);
    expect(settings.testCrashAt).toEqual({ phase: 'committing', count: 3 });
  });
});

describe('settings of a client', () => {
  const dev: DevHandle = {
    url: 'http://127.0.0.1:9',
    natsUrl: 'nats://127.0.0.1:8',
    adminKey: 'dev-admin',
    writeKey: 'dev-write',
    segments: ['shop'],
    pid: 1,
  };

  it('takes flag, environment, dev process, default, in this order', () => {
    const env = {
      STITCHWORK_URL: 'http://env:1',
      STITCHWORK_ADMIN_KEY: 'env-admin',
      STITCHWORK_WRITE_KEY: 'env-write',
    };
    expect(parseClientSettings({ url: 'http://flag:1/', key: 'flag' }, env, dev)).toMatchObject({
      url: 'http://flag:1',
      adminKey: 'flag',
      writeKey: 'flag',
    });
    expect(parseClientSettings({}, env, dev)).toMatchObject({
      url: 'http://env:1',
      adminKey: 'env-admin',
      writeKey: 'env-write',
    });
    expect(parseClientSettings({}, {}, dev)).toMatchObject({
      url: 'http://127.0.0.1:9',
      adminKey: 'dev-admin',
      natsUrl: 'nats://127.0.0.1:8',
      segment: 'shop',
    });
    expect(parseClientSettings({}, {}, undefined)).toMatchObject({
      url: 'http://127.0.0.1:8080',
      natsUrl: 'nats://127.0.0.1:4222',
      adminKey: undefined,
      segment: undefined,
    });
  });

  it('does not guess between several segments', () => {
    expect(parseClientSettings({}, {}, { ...dev, segments: ['a', 'b'] }).segment).toBeUndefined();
  });

  it('refuses what is no URL', () => {
    expect(problemOf(() => parseClientSettings({ url: 'localhost' }, {}, undefined))).toContain('--url');
  });
});
