// An export is there whole or not at all, and holds what is stored; old ones go, and nothing that is not ours.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sqlText } from '../../../batch/duck.ts';
import { EXPORT_KINDS, type ExportOptions, writeExport } from '../../../batch/export/write-export.ts';
import { type OpenViews, openViews } from '../../../batch/query/open-views.ts';
import { seededRandom } from '../../../shared/kernel/random.ts';
import { configOf, ProfileFold } from '../profile/harness.ts';
import { testViews } from './views-rig.ts';

const AT = Date.UTC(2026, 10, 23, 10, 30);
const CONFIG = configOf(`events:
  - { name: ordered, when: 'event.name == "Ordered"' }
attributes:
  - { name: orders, type: counter, on: ordered, total: true }
audiences:
  - { name: buyers, when: 'profile.orders >= 2.0' }
activations:
  - { name: thanks, payload: { n: '{{ profile.orders }}' } }
triggers:
  - { name: thank, on: { entered: buyers }, activate: thanks }
`);
let p1 = '';
let p2 = '';
let folder = '';
let opened: OpenViews;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-export-'));
  opened = await open();
});

afterEach(async () => {
  await opened.close();
  await rm(folder, { recursive: true, force: true });
});

function open(broken = false): Promise<OpenViews> {
  const fold = new ProfileFold(CONFIG);
  fold.send({ name: 'Ordered', keys: { device: 'd1' } }, AT);
  fold.send({ name: 'Ordered', keys: { device: 'd1', customer_id: 'c1' } }, AT + 1000);
  fold.send({ name: 'Ordered', keys: { device: 'd2' } }, AT + 2000);
  p1 = fold.holder('customer_id', 'c1')!.id;
  p2 = fold.holder('device', 'd2')!.id;
  const { deps, options } = testViews({ fold, scratch: join(folder, 'views'), nowMs: AT + 3000, broken });
  return openViews(deps, options);
}

function optionsOf(part: Partial<ExportOptions> = {}): ExportOptions {
  return {
    ...{ segment: 'shop', to: join(folder, 'out'), what: EXPORT_KINDS, atMs: AT, keep: 2 },
    ...{ random: seededRandom(5), signal: new AbortController().signal, ...part },
  };
}

async function rows(path: string, columns: string): Promise<readonly unknown[]> {
  return opened.duck.use(async (connection) => {
    const read = await connection.runAndReadAll(`SELECT ${columns} FROM ${sqlText(path)} ORDER BY ALL`);
    return read.getRowsJson();
  });
}

describe('an export', () => {
  it('holds every profile, attribute, link, membership, activation and audit entry', async () => {
    const { folder: to, manifest } = await writeExport(opened, optionsOf());
    expect(manifest).toMatchObject({ v: 1, segment: 'shop', at: '2026-11-23T10:30:00.000Z' });
    expect(Object.fromEntries(manifest.files.map(({ name, rows }) => [name, rows]))).toEqual({
      'profiles.parquet': 2,
      'attributes.parquet': 2,
      'links.parquet': 3,
      'audiences.parquet': 1,
      'activations.parquet': 1,
      'audit.parquet': 3,
    });
    expect(await rows(join(to, 'links.parquet'), 'key_name, value, profile_id')).toEqual([
      ['customer_id', 'c1', p1],
      ['device', 'd1', p1],
      ['device', 'd2', p2],
    ]);
    expect(await rows(join(to, 'attributes.parquet'), 'profile_id, name, number')).toEqual([
      [p1, 'orders', 2],
      [p2, 'orders', 1],
    ]);
    expect(await rows(join(to, 'audiences.parquet'), 'name, profile_id')).toEqual([['buyers', p1]]);
    expect(JSON.parse(await readFile(join(to, 'manifest.json'), 'utf8'))).toEqual(manifest);
  });

  it('that breaks off leaves nothing that a reader would take for one', async () => {
    await opened.close();
    opened = await open(true);
    await expect(writeExport(opened, optionsOf())).rejects.toThrow('broken off');
    expect(await readdir(join(folder, 'out'))).toEqual([]);
  });

  it('is never written over another', async () => {
    await writeExport(opened, optionsOf({ what: ['links'] }));
    await expect(writeExport(opened, optionsOf({ what: ['links'] }))).rejects.toThrow('already');
  });

  it('takes the place of the oldest, and of nothing else', async () => {
    const to = join(folder, 'out');
    await mkdir(join(to, '20200101T000000.000Z'), { recursive: true });
    await writeFile(join(to, '20200101T000000.000Z', 'notes.txt'), 'mine');
    const other = await writeExport(opened, optionsOf({ segment: 'other', what: ['links'] }));
    for (let i = 1; i <= 4; i++)
      await writeExport(opened, optionsOf({ what: ['links'], atMs: AT + i * 1000 }));
    expect((await readdir(to)).sort()).toEqual([
      '20200101T000000.000Z',
      other.folder.slice(to.length + 1),
      '20261123T103003.000Z',
      '20261123T103004.000Z',
    ]);
  });
});
