// Finds a nats-server that is new enough, or gets one, once, into a cache folder. Never at install time: when a server is
// first needed. Order: NATS_SERVER_BIN, the cache, PATH, the official release (where its SHA-256 is pinned), the package
// of a newer Debian suite through the mirror that apt is configured with, the official release by its own checksums.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  access,
  chmod,
  constants,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { errorText, StitchworkError } from '../../shared/kernel/errors.ts';
import { randomToken, systemRandom } from '../../shared/kernel/random.ts';
import { isNewEnough, SERVER_VERSION_MIN } from '../../shared/nats/server-version.ts';
import { packagePath } from '../package-root.ts';

const run = promisify(execFile);

export interface ResolvedServer {
  readonly path: string;
  readonly version: string;
  /** Where it came from, for people. */
  readonly origin: string;
}

export interface ResolveOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Called before something is fetched, which can take a while. */
  readonly onFetch?: (what: string) => void;
}

/** The version that is fetched when none is found. */
export const PINNED_VERSION = '2.15.1';
const DEBIAN_SUITE = 'sid';
const DOWNLOAD_TIMEOUT_MS = 120_000;

/** Throws SERVER_TOO_OLD for a NATS_SERVER_BIN that is too old, SERVER_NOT_FOUND with what was tried. */
export async function resolveNatsServer(options: ResolveOptions = {}): Promise<ResolvedServer> {
  const env = options.env ?? process.env;
  const asked = env.NATS_SERVER_BIN;
  if (asked) return demanded(asked);
  const tried: string[] = [];
  const cached = join(cacheFolder(env), `nats-server-${PINNED_VERSION}`);
  for (const [path, origin] of [[cached, 'cache'] as const, ...onPath(env)]) {
    const version = await versionOf(path);
    if (version !== undefined && isNewEnough(version)) return { path, version, origin };
    if (version !== undefined) tried.push(`${path} is ${version}, older than ${SERVER_VERSION_MIN}`);
  }
  for (const [origin, fetchServer] of [
    ['official release, pinned', fromPinnedRelease] as const,
    ['Debian package', fromDebian] as const,
    ['official release', fromListedRelease] as const,
  ]) {
    try {
      options.onFetch?.(`nats-server ${PINNED_VERSION} (${origin})`);
      await fetchServer(cached);
      const version = await versionOf(cached);
      if (version !== undefined && isNewEnough(version)) return { path: cached, version, origin };
      tried.push(`${origin}: what came is ${version ?? 'no nats-server'}`);
    } catch (error) {
      tried.push(`${origin}: ${errorText(error).split('\n')[0]}`);
    }
  }
  throw new StitchworkError('SERVER_NOT_FOUND', notFound(tried));
}

async function demanded(path: string): Promise<ResolvedServer> {
  const version = await versionOf(path);
  if (version === undefined) {
    throw new StitchworkError(
      'SERVER_NOT_FOUND',
      `NATS_SERVER_BIN is ${path}, which is not a nats-server that runs`,
    );
  }
  if (!isNewEnough(version)) {
    throw new StitchworkError(
      'SERVER_TOO_OLD',
      `NATS_SERVER_BIN is nats-server ${version}; ${SERVER_VERSION_MIN} or newer is needed (atomic batches, message schedules)`,
    );
  }
  return { path, version, origin: 'NATS_SERVER_BIN' };
}

function notFound(tried: readonly string[]): string {
  return [
    `no nats-server ${SERVER_VERSION_MIN} or newer, and none could be fetched:`,
    ...tried.map((line) => `  - ${line}`),
    'Get one by hand (https://nats.io/download) and put it on PATH, or name it in NATS_SERVER_BIN,',
    'or point --nats-url at a server that runs already.',
  ].join('\n');
}

function cacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'stitchwork');
}

function onPath(env: Readonly<Record<string, string | undefined>>): (readonly [string, string])[] {
  const folders = [...(env.PATH ?? '').split(delimiter).filter(Boolean), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => [join(folder, 'nats-server'), 'PATH'] as const);
}

async function versionOf(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
    const { stdout } = await run(path, ['--version'], { timeout: 10_000 });
    return /v?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1];
  } catch {
    // Not there, or not something that runs: the next place is tried.
    return undefined;
  }
}

/**
 * Moves a binary into place whole, and only one that runs and is new enough. Until then it has a name of this call alone:
 * others, in this process too, may be at it at the same time.
 */
async function install(from: string, to: string): Promise<void> {
  const part = `${to}.${randomToken(systemRandom)}.part`;
  try {
    await copyFile(from, part);
    await chmod(part, 0o755);
    const version = await versionOf(part);
    if (version === undefined) throw new Error('what came is no nats-server that runs here');
    if (!isNewEnough(version)) throw new Error(`what came is ${version}, older than ${SERVER_VERSION_MIN}`);
    await rename(part, to);
  } finally {
    await rm(part, { force: true });
  }
}

async function inWorkFolder<T>(target: string, work: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(join(target, '..'), { recursive: true });
  const folder = await mkdtemp(join(tmpdir(), 'stitchwork-nats-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const RELEASE_URL = `https://github.com/nats-io/nats-server/releases/download/v${PINNED_VERSION}`;

function releaseName(): string {
  return `nats-server-v${PINNED_VERSION}-${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;
}

/** The release archive for this platform, where its SHA-256 is pinned in this repository. */
async function fromPinnedRelease(target: string): Promise<void> {
  const pins: unknown = JSON.parse(
    await readFile(packagePath('infra/nats-server/release-pins.json'), 'utf8'),
  );
  const sha256 = (pins as { sha256: Record<string, string> }).sha256[releaseName()];
  if (!sha256) throw new Error(`no SHA-256 of ${releaseName()} is pinned in release-pins.json`);
  await fetchRelease(target, sha256);
}

/** The release archive, checked against the list of SHA-256 that the release itself carries: trust rests on TLS. */
async function fromListedRelease(target: string): Promise<void> {
  const list = (await download(`${RELEASE_URL}/SHA256SUMS`)).toString('utf8');
  const line = list.split('\n').find((text) => text.trim().endsWith(`${releaseName()}.tar.gz`));
  const sha256 = line?.trim().split(/\s+/)[0];
  if (!sha256) throw new Error(`the release has no ${releaseName()}.tar.gz`);
  await fetchRelease(target, sha256);
}

async function fetchRelease(target: string, sha256: string): Promise<void> {
  await inWorkFolder(target, async (folder) => {
    const url = `${RELEASE_URL}/${releaseName()}.tar.gz`;
    const archive = await download(url);
    const found = createHash('sha256').update(archive).digest('hex');
    if (found !== sha256) throw new Error(`${url} has SHA-256 ${found}, not ${sha256}`);
    await writeFile(join(folder, 'a.tar.gz'), archive);
    await run('tar', ['-xzf', join(folder, 'a.tar.gz'), '-C', folder]);
    await install(join(folder, releaseName(), 'nats-server'), target);
  });
}

async function download(url: string): Promise<Buffer> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
  return Buffer.from(await answer.arrayBuffer());
}

/**
 * The package of the newer suite, by apt itself in a state folder of its own: apt checks signature and hashes, the
 * system's own lists stay as they are, and nothing needs root.
 */
async function fromDebian(target: string): Promise<void> {
  const mirror = await debianMirror();
  await inWorkFolder(target, async (folder) => {
    const list = join(folder, 'sources.list');
    const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
    await writeFile(list, `deb [signed-by=${keyring}] ${mirror} ${DEBIAN_SUITE} main\n`);
    await mkdir(join(folder, 'lists', 'partial'), { recursive: true });
    await mkdir(join(folder, 'cache', 'archives', 'partial'), { recursive: true });
    const own = {
      'Dir::Etc::sourcelist': list,
      'Dir::Etc::sourceparts': '/dev/null',
      'Dir::State::lists': join(folder, 'lists'),
      'Dir::Cache': join(folder, 'cache'),
      'APT::Sandbox::User': '',
      'APT::Get::List-Cleanup': '0',
    };
    const flags = Object.entries(own).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    const settings = { cwd: folder, timeout: DOWNLOAD_TIMEOUT_MS };
    await run('apt-get', [...flags, '-qq', 'update'], settings);
    await run('apt-get', [...flags, '-qq', 'download', 'nats-server'], settings);
    const deb = (await readdir(folder)).find((name) => name.endsWith('.deb'));
    if (!deb) throw new Error('apt brought no package');
    await run('dpkg-deb', ['-x', join(folder, deb), join(folder, 'x')]);
    await install(join(folder, 'x', 'usr', 'sbin', 'nats-server'), target);
  });
}

/** The first Debian mirror of apt's own configuration. */
async function debianMirror(): Promise<string> {
  const folder = '/etc/apt/sources.list.d';
  const extra = await readdir(folder).catch(() => []);
  const files = ['/etc/apt/sources.list', ...extra.map((name) => join(folder, name))];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    for (const line of text.split('\n')) {
      const match = /^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s*(https?:\/\/\S+)/.exec(line.trim());
      if (match?.[1] && /\/debian\/?$/.test(match[1])) return match[1];
    }
  }
  throw new Error('apt is not configured with a Debian mirror here');
}
