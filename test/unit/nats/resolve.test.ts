// The resolver of nats-server, with scripts that play the binary: order, refusal of old ones, whole files in the cache.
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mirrorIn, releasePins } from '../../../infra/nats-server/fetch.ts';
import { PINNED_VERSION, resolveNatsServer } from '../../../infra/nats-server/resolve.ts';
import { isStitchworkError } from '../../../shared/kernel/errors.ts';
import { isNewEnough } from '../../../shared/nats/server-version.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-resolve-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function fakeServer(path: string, version: string): Promise<string> {
  await writeFile(path, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  await chmod(path, 0o755);
  return path;
}

function failing(reason: string) {
  return async (): Promise<string> => {
    throw new Error(reason);
  };
}

/** Nothing on PATH, an empty cache. */
const bare = () => ({ PATH: join(folder, 'bin'), XDG_CACHE_HOME: join(folder, 'cache') });

async function refusal(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await promise.then(() => undefined).catch((thrown: unknown) => thrown);
  if (!isStitchworkError(error)) throw new Error('it was not refused');
  return { code: error.code, message: error.message };
}

describe('NATS_SERVER_BIN', () => {
  it('is taken when it is new enough', async () => {
    const NATS_SERVER_BIN = await fakeServer(join(folder, 'mine'), '2.14.4');
    expect(await resolveNatsServer({ env: { ...bare(), NATS_SERVER_BIN }, origins: [] })).toEqual({
      path: NATS_SERVER_BIN,
      version: '2.14.4',
      origin: 'NATS_SERVER_BIN',
    });
  });

  it('is refused with the reason when it is too old, whatever else there is', async () => {
    const NATS_SERVER_BIN = await fakeServer(join(folder, 'mine'), '2.10.27');
    const answer = await refusal(resolveNatsServer({ env: { ...bare(), NATS_SERVER_BIN } }));
    expect(answer.code).toBe('SERVER_TOO_OLD');
    expect(answer.message).toMatch(/2\.10\.27.*2\.14\.4/);
  });

  it('is refused when it does not run', async () => {
    const env = { ...bare(), NATS_SERVER_BIN: join(folder, 'nothing') };
    expect((await refusal(resolveNatsServer({ env }))).code).toBe('SERVER_NOT_FOUND');
  });
});

describe('without NATS_SERVER_BIN', () => {
  it('an old one on PATH is passed over, and the error says so and how to get one', async () => {
    await fakeServer(join(folder, 'nats-server'), '2.10.27');
    const env = { ...bare(), PATH: folder };
    const { code, message } = await refusal(
      resolveNatsServer({ env, origins: [['moon', failing('too far')]] }),
    );
    expect(code).toBe('SERVER_NOT_FOUND');
    expect(message).toMatch(/2\.10\.27, older than 2\.14\.4/);
    expect(message).toContain('moon: too far');
    expect(message).toContain('NATS_SERVER_BIN');
    expect(message).toContain('--nats-url');
  });

  it('a new one on PATH is taken, and nothing is fetched', async () => {
    await fakeServer(join(folder, 'nats-server'), '2.15.1');
    const env = { ...bare(), PATH: folder };
    const found = await resolveNatsServer({ env, origins: [['moon', failing('must not be asked')]] });
    expect(found).toMatchObject({ origin: 'PATH', version: '2.15.1' });
  });

  it('the next origin is asked when one fails, and what came is in the cache', async () => {
    const env = bare();
    const origins = [
      ['moon', failing('too far')],
      ['shop', (work: string) => fakeServer(join(work, 'x'), '2.15.1')],
    ] as const;
    const first = await resolveNatsServer({ env, origins });
    expect(first).toMatchObject({ origin: 'shop', version: '2.15.1' });
    expect(await resolveNatsServer({ env, origins: [] })).toMatchObject({ origin: 'cache', path: first.path });
  });

  it('what came is not kept when it is too old or does not run', async () => {
    const env = bare();
    const origins = [
      ['attic', (work: string) => fakeServer(join(work, 'x'), '2.12.0')],
      ['bakery', async (work: string) => writeFile(join(work, 'x'), 'bread').then(() => join(work, 'x'))],
    ] as const;
    const { message } = await refusal(resolveNatsServer({ env, origins }));
    expect(message).toMatch(/attic: .*2\.12\.0, older than 2\.14\.4/);
    expect(message).toMatch(/bakery: .*no nats-server/);
    expect(await readdir(join(folder, 'cache', 'stitchwork'))).toEqual([]);
  });

  it('many at once get one whole binary', async () => {
    const env = bare();
    const origins = [['shop', (work: string) => fakeServer(join(work, 'x'), '2.15.1')]] as const;
    const found = await Promise.all(Array.from({ length: 8 }, () => resolveNatsServer({ env, origins })));
    expect(new Set(found.map(({ version }) => version))).toEqual(new Set(['2.15.1']));
    expect(await readdir(join(folder, 'cache', 'stitchwork'))).toEqual([`nats-server-${PINNED_VERSION}`]);
  });
});

describe('origins', () => {
  it('the pinned release is new enough, and its hashes are SHA-256', async () => {
    const { version, sha256 } = await releasePins();
    expect(isNewEnough(version)).toBe(true);
    for (const hash of Object.values(sha256)) expect(hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('the Debian mirror is read from either form of a sources file', () => {
    expect(mirrorIn('# x\ndeb [arch=amd64] http://a.example/debian bookworm main')).toBe(
      'http://a.example/debian',
    );
    expect(mirrorIn('deb-src http://a.example/debian sid main')).toBeUndefined();
    expect(mirrorIn('Types: deb\nURIs: https://b.example/x/debian/\nSuites: trixie')).toBe(
      'https://b.example/x/debian/',
    );
    expect(mirrorIn('URIs: http://a.example/debian-security http://a.example/debian')).toBe(
      'http://a.example/debian',
    );
    expect(mirrorIn('deb http://a.example/ubuntu noble main')).toBeUndefined();
  });
});

it('versions are compared by number', () => {
  for (const version of ['2.14.4', '2.14.10', '2.15.0-RC.1', '3.0.0']) expect(isNewEnough(version)).toBe(true);
  for (const version of ['2.14.3', '2.9.99', '1.99.0', '', 'x']) expect(isNewEnough(version)).toBe(false);
});
