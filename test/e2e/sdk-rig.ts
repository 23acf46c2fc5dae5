// A running `dev` for SDKs of others to send to, a page for those that live in browsers, and a way that spoils answers.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import type { DevHandle } from '../../shared/settings.ts';
import { ensureBuilt, startCli } from './cli-process.ts';

const CONFIG = `
segment: shop
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 5, normalize: [trim, lowercase] }
    - { name: cookie, kind: device, limit: 100 }
events:
  - { name: viewed, when: 'event.name == "Product Viewed"' }
  - { name: page, when: 'event.name == "page" || event.table == "pageviews"' }
  - { name: identified, when: 'event.name == "identify"' }
attributes:
  - { name: views, type: counter, total: true, on: viewed }
  - { name: pages, type: counter, total: true, on: page }
  - { name: last_sku, type: single, on: viewed, value: event.properties.sku }
  - { name: plan, type: single, on: identified, value: event.properties.plan }
audiences:
  - { name: keen, when: 'profile.views >= 2' }
personalization:
  - service: web
    public: true
    budget: 2s
    sections:
      - name: hero
        when: 'has(profile.views) && profile.views >= 2'
        audiences: true
        return: { sku: '{{ profile.last_sku }}', views: '{{ profile.views }}' }
        fallback: { sku: welcome }
protocols:
  segment: { anonymous_id: cookie }
`;

export interface Profile {
  readonly id: string;
  readonly keys: Readonly<Record<string, readonly string[]>>;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface SdkRig {
  readonly handle: DevHandle;
  /** Null: there is none. */
  profile(key: string, value: string): Promise<Profile | null>;
  /** Entries of the audit log that tell of such a fact. */
  facts(kind: string): Promise<number>;
  /** 0: all that was accepted before is applied. */
  lag(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts `dev` with https and Treasure Data's addresses at the root. */
export async function startSdkRig(): Promise<SdkRig> {
  ensureBuilt();
  const folder = mkdtempSync(join(tmpdir(), 'stitchwork-sdks-'));
  const file = join(folder, 'shop.yaml');
  writeFileSync(file, CONFIG);
  const dev = startCli([
    ...[
      'dev',
      '--port',
      '0',
      '--tls',
      '--td-host',
      '*',
      '--shards',
      '4',
      '--events-max-bytes',
      '100MB',
      '--json',
    ],
    ...['--config', file, '--data-dir', join(folder, 'data')],
  ]);
  const handle = JSON.parse(await dev.line()) as DevHandle;
  const get = (path: string) =>
    fetch(`${handle.url}${path}`, { headers: { authorization: `Bearer ${handle.adminKey}` } });
  return {
    handle,
    async facts(kind) {
      const answer = (await (await get(`/v1/audit?kind=${kind}`)).json()) as { entries: unknown[] };
      return answer.entries.length;
    },
    async lag() {
      const { segments } = (await (await get('/v1/status')).json()) as { segments: { lag: number }[] };
      return Math.max(...segments.map((segment) => segment.lag));
    },
    async profile(key, value) {
      const answer = await get(`/v1/profiles/${key}/${encodeURIComponent(value)}`);
      return answer.ok ? ((await answer.json()) as Profile) : null;
    },
    async stop() {
      dev.child.kill('SIGTERM');
      await dev.finished;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What becomes of a request on its way: it arrives, and its answer is lost; or it is answered with 503 and does not arrive. */
export type Mishap = 'lose_answer' | 'turn_away';

export interface BadWay {
  readonly url: string;
  /** Requests that came, with how many times each SDK says it has tried. */
  readonly requests: number;
  close(): Promise<void>;
}

/** A way to a gateway on which the first requests have mishaps, in this order. */
export async function openBadWay(target: string, mishaps: readonly Mishap[]): Promise<BadWay> {
  let requests = 0;
  const server = createServer((incoming, outgoing) => {
    const mishap = mishaps[requests++];
    if (mishap === 'turn_away') {
      incoming.resume();
      outgoing.writeHead(503, { 'retry-after': '1' }).end();
      return;
    }
    const { method, url, headers } = incoming;
    const onward = request(new URL(url ?? '/', target), { method, headers }, (answer) => {
      answer.resume();
      if (mishap === 'lose_answer') answer.once('end', () => incoming.socket.destroy());
      else answer.pipe(outgoing.writeHead(answer.statusCode ?? 500, answer.headers));
    });
    incoming.pipe(onward);
  });
  return {
    url: await listen(server),
    get requests() {
      return requests;
    },
    close: () => closed(server),
  };
}

const resolve = createRequire(import.meta.url).resolve;
const TYPES: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.html': 'text/html' };

export interface Site {
  readonly url: string;
  close(): Promise<void>;
}

/** A site of its own origin: an empty page, and the SDKs' files as their packages have them. */
export async function openSite(): Promise<Site> {
  const segment = join(dirname(resolve('@segment/analytics-next/package.json')), 'dist/umd');
  const treasureData = join(dirname(resolve('td-js-sdk/package.json')), 'dist');
  const server = createServer(({ url = '/' }, answer) => {
    const folder = url.startsWith('/td/') ? treasureData : segment;
    const name = url.slice(url.lastIndexOf('/') + 1);
    const file = join(folder, name);
    if (/^[\w.-]+\.js$/.test(name) && existsSync(file)) {
      answer.writeHead(200, { 'content-type': TYPES[extname(name)] }).end(readFileSync(file));
      return;
    }
    const found = url === '/' || url.startsWith('/?');
    answer.writeHead(found ? 200 : 404, { 'content-type': TYPES['.html'] });
    answer.end(found ? '<!doctype html><title>Shop</title><h1>Shop</h1>' : '');
  });
  return { url: await listen(server), close: () => closed(server) };
}

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Where a Chromium is: CHROMIUM_PATH, or where systems have it; undefined: there is none. */
export function findChromium(): string | undefined {
  return [process.env.CHROMIUM_PATH ?? '', ...BROWSERS].find((path) => path !== '' && existsSync(path));
}

/** Headless, and silent towards the network of its maker. */
export function launchChromium(executablePath: string): Promise<Browser> {
  const quiet = ['background-networking', 'component-update', 'sync', 'gpu', 'quic'].map(
    (name) => `--disable-${name}`,
  );
  return chromium.launch({
    executablePath,
    headless: true,
    args: ['--no-sandbox', '--no-first-run', ...quiet],
  });
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function closed(server: Server): Promise<void> {
  return new Promise((done) => {
    server.close(() => done());
    server.closeAllConnections();
  });
}
