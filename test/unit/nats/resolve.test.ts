// The resolver of nats-server, with scripts that play the binary and the package tools: order, refusal of old ones, whole
// files in the cache. No network.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PINNED_VERSION, resolveNatsServer } from '../../../infra/nats-server/resolve.ts';
import { isStitchworkError } from '../../../shared/kernel/errors.ts';
import { isNewEnough } from '../../../shared/nats/server-version.ts';

const PATH_BEFORE = process.env.PATH;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-resolve-'));
  await mkdir(join(folder, 'tools'));
  // Child processes of the resolver look here: without scripts, there is no apt-get.
  process.env.PATH = join(folder, 'tools');
});
afterEach(async () => {
  process.env.PATH = PATH_BEFORE;
  await rm(folder, { recursive: true, force: true });
});

async function script(path: string, body: string): Promise<string> {
  await writeFile(path, `#!/bin/sh\nPATH=/usr/bin:/bin\n${body}\n`);
  await chmod(path, 0o755);
  return path;
}

const fakeServer = (path: string, version: string) => script(path, `echo "nats-server: v${version}"`);

/** apt-get and dpkg-deb that bring a server of a version, each use noted in a file. */
async function fakeApt(version: string): Promise<void> {
  const server = await fakeServer(join(folder, 'packaged'), version);
  const tools = join(folder, 'tools');
  await script(
    join(tools, 'apt-get'),
    `echo "$@" >> ${join(folder, 'apt-uses')}\ncase "$*" in *download*) touch nats-server_x.deb;; esac`,
  );
  await script(
    join(tools, 'dpkg-deb'),
    `mkdir -p "$3/usr/sbin" && sleep 0.1 && cp ${server} "$3/usr/sbin/nats-server"`,
  );
}

/** Whether apt is configured with a Debian mirror: the resolver reads that from the machine. */
const onDebian = await (async () => {
  const names = await readdir('/etc/apt/sources.list.d').catch(() => []);
  const files = ['/etc/apt/sources.list', ...names.map((name) => `/etc/apt/sources.list.d/${name}`)];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return texts.some((text) => /https?:\/\/\S+\/debian\/?(\s|$)/.test(text));
})();

const cache = () => join(folder, 'cache', 'stitchwork');
const bare = () => ({ PATH: join(folder, 'bin'), XDG_CACHE_HOME: join(folder, 'cache') });

async function refusal(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await promise.then(() => undefined).catch((thrown: unknown) => thrown);
  if (!isStitchworkError(error)) throw new Error('it was not refused');
  return { code: error.code, message: error.message };
}

describe('NATS_SERVER_BIN', () => {
  it('is taken before anything else when it is new enough', async () => {
    await mkdir(cache(), { recursive: true });
    await fakeServer(join(cache(), `nats-server-${PINNED_VERSION}`), '2.15.1');
    const NATS_SERVER_BIN = await fakeServer(join(folder, 'mine'), '2.14.4');
    expect(await resolveNatsServer({ env: { ...bare(), NATS_SERVER_BIN } })).toEqual({
      path: NATS_SERVER_BIN,
      version: '2.14.4',
      origin: 'NATS_SERVER_BIN',
    });
  });

  it('is refused with the reason when it is too old, whatever else there is', async () => {
    await mkdir(cache(), { recursive: true });
    await fakeServer(join(cache(), `nats-server-${PINNED_VERSION}`), '2.15.1');
    const NATS_SERVER_BIN = await fakeServer(join(folder, 'mine'), '2.10.27');
    const { code, message } = await refusal(resolveNatsServer({ env: { ...bare(), NATS_SERVER_BIN } }));
    expect(code).toBe('SERVER_TOO_OLD');
    expect(message).toMatch(/2\.10\.27.*2\.14\.4/);
  });

  it('is refused when it does not run', async () => {
    const env = { ...bare(), NATS_SERVER_BIN: join(folder, 'nothing') };
    expect((await refusal(resolveNatsServer({ env }))).code).toBe('SERVER_NOT_FOUND');
  });
});

describe('without NATS_SERVER_BIN', () => {
  it('the cached one of the pinned version comes before PATH', async () => {
    await mkdir(cache(), { recursive: true });
    await fakeServer(join(cache(), `nats-server-${PINNED_VERSION}`), '2.15.1');
    await fakeServer(join(folder, 'nats-server'), '2.14.4');
    const found = await resolveNatsServer({ env: { ...bare(), PATH: folder } });
    expect(found).toMatchObject({ origin: 'cache', version: '2.15.1' });
  });

  it('PATH is searched in order, old ones are passed over, and nothing is fetched', async () => {
    const folders = ['old', 'new', 'newer'].map((name) => join(folder, name));
    for (const [index, version] of ['2.10.27', '2.14.4', '2.15.1'].entries()) {
      await mkdir(folders[index]!);
      await fakeServer(join(folders[index]!, 'nats-server'), version);
    }
    const fetched: string[] = [];
    const env = { ...bare(), PATH: folders.join(':') };
    const found = await resolveNatsServer({ env, onFetch: (what) => fetched.push(what) });
    expect(found).toEqual({ path: join(folders[1]!, 'nats-server'), version: '2.14.4', origin: 'PATH' });
    expect(fetched).toEqual([]);
  });

  it('when nothing is found or fetched, the error says what was tried and what to do', async () => {
    await fakeServer(join(folder, 'nats-server'), '2.10.27');
    const { code, message } = await refusal(resolveNatsServer({ env: { ...bare(), PATH: folder } }));
    expect(code).toBe('SERVER_NOT_FOUND');
    for (const part of ['2.10.27, older than 2.14.4', 'Debian package', 'NATS_SERVER_BIN', '--nats-url']) {
      expect(message).toContain(part);
    }
  });
});

describe.skipIf(!onDebian)('from the Debian package', () => {
  it('it is fetched once, then cached; the lists of the system are not used', async () => {
    await fakeApt('2.15.1');
    expect(await resolveNatsServer({ env: bare() })).toMatchObject({
      origin: 'Debian package',
      version: '2.15.1',
    });
    const uses = await readFile(join(folder, 'apt-uses'), 'utf8');
    for (const line of uses.trim().split('\n')) {
      expect(line).toMatch(/Dir::State::lists=\S*stitchwork-nats-/);
      expect(line).toMatch(/Dir::Etc::sourcelist=\S*stitchwork-nats-/);
    }
    expect(await resolveNatsServer({ env: bare() })).toMatchObject({ origin: 'cache' });
    expect(await readFile(join(folder, 'apt-uses'), 'utf8')).toBe(uses);
  });

  it('one that is too old is refused, and is not left in the cache', async () => {
    await fakeApt('2.12.0');
    expect((await refusal(resolveNatsServer({ env: bare() }))).message).toContain('2.12.0');
    expect(await readdir(cache())).toEqual([]);
  });

  it('many at once all get a whole one', async () => {
    await fakeApt('2.15.1');
    const found = await Promise.allSettled(
      Array.from({ length: 6 }, () => resolveNatsServer({ env: bare() })),
    );
    expect(found.filter(({ status }) => status === 'rejected')).toEqual([]);
    expect(await readdir(cache())).toEqual([`nats-server-${PINNED_VERSION}`]);
  });
});

it('versions are compared by number', () => {
  for (const version of ['2.14.4', '2.14.10', '2.15.0-RC.1', '3.0.0']) {
    expect(isNewEnough(version), version).toBe(true);
  }
  for (const version of ['2.14.3', '2.9.99', '1.99.0', '', 'x']) {
    expect(isNewEnough(version), version).toBe(false);
  }
});
