// Jobs of a folder: what their heads say, and every mistake with its line and what was meant.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readJobFolder, shippedNames } from '../../../../batch/jobs/job-folder.ts';
import { parseSegmentConfig } from '../../../../shared/contract/config/parse.ts';

const SHIPPED = 'batch/jobs/shipped';
const CONFIG = `segment: shop
stitching: { keys: [{ name: customer_id, limit: 1 }] }
batch:
  tables:
    - { name: one, key: customer_id, attributes: { a: number } }
    - { name: two, key: customer_id, attributes: { a: number } }
    - { name: three, key: customer_id, attributes: { a: number } }
    - { name: rfm, key: customer_id, attributes: { recency: number, frequency: number, monetary: number, score: number, tier: string } }
`;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-folder-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function read() {
  const parsed = parseSegmentConfig(CONFIG);
  if (parsed.kind === 'invalid') throw new Error(JSON.stringify(parsed.problems));
  return readJobFolder(folder, SHIPPED, parsed.config);
}

const put = (file: string, text: string) => writeFile(join(folder, file), text);
const job = (name: string, more = '') =>
  `/*---\nname: ${name}\ntable: ${name}\n${more}\n---*/\nSELECT 'c' AS customer_id, 1 AS a`;

describe('a folder of jobs', () => {
  it('is empty when it is not there', async () => {
    await rm(folder, { recursive: true });
    expect(await read()).toEqual({ jobs: [], problems: [] });
  });

  it('gives what the heads say, dependencies first', async () => {
    await put(
      'a.sql',
      job(
        'two',
        "cron: '*/5 3 * * 1'\ntimezone: Europe/Berlin\ndepends_on: one\ntimeout: 5m\nmemory_limit: 200MB\ncatch_up: skip\nparams: { day: 3, name: x }",
      ),
    );
    await put('b.mjs', job('one'));
    await put('notes.txt', 'not a job');
    const { jobs, problems } = await read();
    expect(problems).toEqual([]);
    expect(jobs).toMatchObject([
      {
        name: 'one',
        kind: 'module',
        file: 'b.mjs',
        cron: null,
        timezone: 'UTC',
        catchUp: 'once',
        dependsOn: [],
      },
      {
        name: 'two',
        kind: 'sql',
        cron: '*/5 3 * * 1',
        timezone: 'Europe/Berlin',
        dependsOn: ['one'],
        timeoutMs: 300_000,
        memoryBytes: 200e6,
        catchUp: 'skip',
        params: { day: 3, name: 'x' },
      },
    ]);
    expect(jobs[1]?.body.split('\n').findIndex((line) => line.startsWith('SELECT'))).toBe(11);
  });

  it('takes shipped jobs with other parameters and another name', async () => {
    await put(
      'tiers.sql',
      '/*---\nname: tiers\nuse: rfm\ncron: "0 5 * * *"\nparams: { revenue: total }\n---*/\n',
    );
    const { jobs, problems } = await read();
    expect(problems).toEqual([]);
    expect(jobs).toMatchObject([
      {
        name: 'tiers',
        table: 'rfm',
        cron: '0 5 * * *',
        params: { revenue: 'total', order_event: 'Order Completed' },
      },
    ]);
    expect(jobs[0]?.body).toContain('rank() OVER');
    expect(await shippedNames(SHIPPED)).toContain('rfm');
  });

  it('tells every mistake with its line, and the other jobs run', async () => {
    await put('good.sql', job('three'));
    await put('nohead.sql', 'SELECT 1');
    await put(
      'fields.sql',
      '/*---\nname: One\ncron: 61 * * * *\ntimezone: Berlin\ntimeout: 10\nmemory_limit: 1MB\ncatch_up: yes\ncrom: x\nparams: { now: 1 }\n---*/\nSELECT 1',
    );
    await put('yaml.sql', '/*---\nname: two\n  table: "x\n---*/\nSELECT 1');
    await put('table.sql', '/*---\nname: t\ntable: onee\nkey: email\n---*/\nSELECT 1');
    await put('key.sql', '/*---\nname: k\ntable: one\nkey: email\n---*/\nSELECT 1');
    await put('use.sql', '/*---\nname: u\ntable: one\nuse: rmf\n---*/\n');
    await put('used.sql', '/*---\nname: v\nuse: rfm\n---*/\nSELECT 1');
    await put('empty.sql', '/*---\nname: w\ntable: one\n---*/\n');
    await put('same.sql', job('three').replace('table: three', 'table: two'));
    await put('rival.sql', job('four').replace('table: four', 'table: three'));
    const { jobs, problems } = await read();
    expect(jobs.map(({ name }) => name)).toEqual(['three']);
    const about = (file: string) => problems.filter((problem) => problem.startsWith(file)).join('\n');
    expect(about('nohead')).toBe('nohead.sql:1: no head: the file must begin with /*---, YAML, and ---*/');
    expect(about('fields').split('\n')).toEqual([
      expect.stringMatching(/^fields\.sql:2: name is "One": a name such as/),
      expect.stringMatching(/^fields\.sql:3: cron is "61 \* \* \* \*": .*minute/),
      'fields.sql:4: timezone is "Berlin": an IANA time zone is meant, such as Europe/Berlin',
      'fields.sql:5: timeout is 10: a duration up to 24h is meant, such as 10m',
      'fields.sql:6: memory_limit is "1MB": a size of at least 50MB is meant, such as 1GB',
      'fields.sql:7: catch_up is "yes": once or skip is meant',
      "fields.sql:8: 'crom' is no field of a job; did you mean cron?",
      'fields.sql:9: params is {"now":1}: now is told by the engine',
    ]);
    expect(about('yaml')).toMatch(/^yaml\.sql:2: Nested mappings/);
    expect(about('table')).toBe("table.sql:3: the config has no batch table 'onee'; did you mean one?");
    expect(about('key')).toBe('key.sql:4: key is email, but the table one has customer_id');
    expect(about('use.sql')).toMatch(/^use\.sql:4: there is no shipped job 'rmf'; there are .*rfm/);
    expect(about('used')).toBe('used.sql:3: a job that uses rfm has no text of its own behind its head');
    expect(about('empty')).toBe('empty.sql:1: there is nothing behind the head');
    expect(about('same')).toBe('same.sql:2: good.sql has the name three already');
    expect(about('rival')).toBe(
      'rival.sql:3: good.sql makes the table three already: a run replaces the table, whole',
    );
  });

  it('leaves out circles, and what depends on what is not there', async () => {
    await put('a.sql', job('one', 'depends_on: [two]'));
    await put('b.sql', job('two', 'depends_on: [one]'));
    await put('c.sql', job('three', 'depends_on: [nobody]'));
    expect(await read()).toEqual({
      jobs: [],
      problems: [
        'a.sql:4: it depends on two, which cannot begin before it: a circle',
        'b.sql:4: it depends on one, which cannot begin before it: a circle',
        'c.sql:4: it depends on nobody, which cannot run or is not there',
      ],
    });
  });

  it("of another segment is not this one's", async () => {
    await put('a.sql', job('one', 'segment: other'));
    await put('b.sql', job('two', 'segment: shop'));
    expect((await read()).jobs.map(({ name }) => name)).toEqual(['two']);
  });
});
