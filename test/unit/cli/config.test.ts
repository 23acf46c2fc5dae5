// The config commands against a gateway in this process: what they show, ask and send, and how they end.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ADMIN_KEY,
  makeSegment,
  startGateway,
  type TestGateway,
  WRITE_KEY,
} from '../gateway/support/harness.ts';
import { type IoOptions, type Ran, runCommand } from './run.ts';

const A = `segment: shop
stitching:
  keys:
    - { name: email, limit: 5 }
events:
  - { name: viewed, when: 'event.name == "Viewed"' }
`;
const B = `${A}attributes:\n  - { name: views, type: counter, total: true, on: viewed }\n`;

let gateway: TestGateway;
let folder: string;
let env: Record<string, string>;

beforeEach(async () => {
  let version = 0;
  const segment = { ...makeSegment(), configVersion: () => version };
  segment.configs.watch((stored) => {
    version = stored.version;
  });
  gateway = await startGateway({}, [segment]);
  await gateway.app.listen({ port: 0 });
  const { port } = gateway.app.server.address() as AddressInfo;
  env = { STITCHWORK_URL: `http://127.0.0.1:${port}`, STITCHWORK_ADMIN_KEY: ADMIN_KEY };
  const at = '2026-11-23T10:00:00.000Z';
  await segment.configs.add({ yaml: A, digest: 'a', at, by: 'start', note: null, rollbackOf: null }, 0);
  folder = mkdtempSync(join(tmpdir(), 'stitchwork-config-'));
  writeFileSync(join(folder, 'a.yaml'), A);
  writeFileSync(join(folder, 'b.yaml'), B);
});
afterEach(async () => {
  await gateway.app.close();
  rmSync(folder, { recursive: true, force: true });
});

const run = (args: string, options: IoOptions = {}): Promise<Ran> =>
  runCommand(args.replace(/\b([ab])\.yaml/g, `${folder}/$1.yaml`).split(' '), { env, ...options });
const inForce = async () => (await gateway.segment.configs.current())?.version;

describe('apply', () => {
  it('shows what it means, asks, and puts it in force', async () => {
    const ran = await run('apply b.yaml', { answer: true });
    expect(ran).toMatchObject({ code: 0, err: 'version 2 of shop is in force' });
    expect(ran.out).toBe(
      'shop: from version 1\nattributes\n  + views\n      starts empty: it takes in events from now on',
    );
    expect((await gateway.segment.configs.current())?.by).toMatch(/^.+@.+$/);
  });

  it('changes nothing without a yes: no answer, a no, a dry run', async () => {
    expect(await run('apply b.yaml')).toMatchObject({ code: 2, err: expect.stringContaining('--yes') });
    expect(await run('apply b.yaml', { answer: false })).toMatchObject({ code: 1 });
    const dry = await run('apply b.yaml --dry-run --json');
    expect(JSON.parse(dry.out)).toMatchObject({ dryRun: true, diff: { changes: [{ name: 'views' }] } });
    expect(await inForce()).toBe(1);
  });

  it('with --json gives one document on stdout, and the rest is talk', async () => {
    const ran = await run('apply b.yaml --yes --json --note why');
    expect(JSON.parse(ran.out)).toMatchObject({ version: 2, changed: true, note: 'why' });
    expect(ran.err).toContain('+ views');
  });

  it('refuses to go over another version than the one asked for', async () => {
    expect(await run('apply b.yaml --yes --if-version 2')).toMatchObject({
      code: 1,
      err: expect.stringContaining('409 CONFLICT: Version 1 of shop is in force, not 2'),
    });
    expect((await run('apply b.yaml --yes --if-version x')).code).toBe(2);
  });

  it('says when there is nothing to do', async () => {
    expect(await run('apply a.yaml --yes')).toMatchObject({
      code: 0,
      out: 'shop: from version 1\nnothing changes in meaning',
      err: 'version 1 of shop is in force already: it has this very text',
    });
  });

  it('ends by what went wrong', async () => {
    writeFileSync(join(folder, 'a.yaml'), A.replace('limit: 5', 'limit: 0'));
    expect((await run('apply a.yaml --yes')).code).toBe(5);
    expect((await run('apply nowhere.yaml --yes')).code).toBe(3);
    writeFileSync(join(folder, 'a.yaml'), A.replace('segment: shop', 'segment: other'));
    expect((await run('apply a.yaml --yes')).code).toBe(3);
    expect((await run(`apply b.yaml --yes --key ${WRITE_KEY}`)).err).toContain('403 FORBIDDEN');
    expect((await run('apply b.yaml --yes --url http://127.0.0.1:1')).code).toBe(4);
    expect((await run('apply')).code).toBe(2);
  });
});

describe('rollback, versions, config get, diff', () => {
  beforeEach(async () => void (await run('apply b.yaml --yes')));

  it('rolls back to a new version with the old text', async () => {
    const ran = await run('rollback --to 1 --yes --note oops');
    expect(ran).toMatchObject({ code: 0, err: 'version 3 of shop is in force' });
    expect(ran.out).toContain('- views');
    expect(await run('config get')).toMatchObject({ out: A.trimEnd() });
    expect(await run('config get --at 2')).toMatchObject({ out: B.trimEnd() });
    const rows = (await run('versions')).out.split('\n');
    expect(rows[0]).toMatch(/^VERSION +AT +BY +NOTE$/);
    expect(rows[1]).toMatch(/^3 .*rollback to 1: oops$/);
    expect(rows).toHaveLength(4);
    expect(JSON.parse((await run('versions -n 1 --json')).out)).toMatchObject({
      current: 3,
      versions: [{ version: 3 }],
    });
  });

  it('needs a version that is kept', async () => {
    expect((await run('rollback --yes')).code).toBe(2);
    expect((await run('rollback --to 0 --yes')).code).toBe(2);
    expect((await run('rollback --to 9 --yes')).code).toBe(3);
    expect((await run('config get --at 9')).code).toBe(3);
    expect((await run('versions -n x')).code).toBe(2);
  });

  it('tells what a file would change', async () => {
    expect((await run('diff a.yaml')).out).toMatch(/^attributes\n {2}- views\n/);
    expect(JSON.parse((await run('diff a.yaml --json')).out)).toMatchObject({
      from: 2,
      to: null,
      stitching: null,
    });
    expect((await run('diff a.yaml --events 60000')).code).toBe(2);
    expect(await inForce()).toBe(2);
  });
});

describe('schema', () => {
  it('prints the JSON Schema, without a server', async () => {
    const { out, code } = await run('schema', { env: {} });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ title: 'Stitchwork segment config' });
    expect((await run('schema --json', { env: {} })).out).not.toContain('\n');
  });
});
