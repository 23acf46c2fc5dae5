// Snapshot tables loaded while events flow: a full load, then a refresh in which a tenth has changed, by the command that a
// user would take; and what that does to the live path.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packagePath } from '../../package-root.ts';
import { seedProfiles } from '../backlog.ts';
import { httpFigures, httpJob } from '../http-scenario.ts';
import type { HttpJob, HttpResult } from '../load/jobs.ts';
import type { RunningLoad } from '../load/load-process.ts';
import { readUse } from '../process-stat.ts';
import { openRig, type Rig } from '../rig.ts';
import type { BenchContext, Case, Scenario } from '../scenario.ts';
import { waitFor } from '../wait-for.ts';

const RATE = 200;
const CONNECTIONS = 32;
const PROFILES_MAX = 20_000;
const CHANGED_EVERY = 10;
const LOAD_DEADLINE_MS = 600_000;

export const snapshots: Scenario = {
  name: 'snapshots',
  about: `a table of many rows loaded from CSV, then again with every ${CHANGED_EVERY}th changed, beside POST /v1/events?wait=commit at ${RATE}/s unless --rate says otherwise`,
  remote: false,
  byDefault: false,
  async run(context) {
    const rig = await openRig(context, { config: 'infra/bench/snapshots.yaml', profiles: 'snapshots' });
    const folder = await mkdtemp(join(tmpdir(), 'stitchwork-bench-rows-'));
    const forget = context.ownership.own(() => rm(folder, { recursive: true, force: true }));
    try {
      await seedProfiles(rig, context, Math.min(PROFILES_MAX, context.sizes.profiles));
      const worker = await rig.startWorker();
      const live = await liveLoad(context, rig);
      const cases: Case[] = [
        { name: 'no load', figures: httpFigures(await live(context.sizes.seconds).result) },
      ];
      for (const run of [1, 2]) {
        const file = join(folder, `crm-${run}.csv`);
        await writeRows(file, context.sizes.manyProfiles, run);
        const rssBefore = (readUse(worker.pid)?.rssBytes ?? 0) / 1e6;
        const [loaded, result] = await beside(() => loadTable(rig, file), live);
        const rssAfter = (readUse(worker.pid)?.rssBytes ?? 0) / 1e6;
        const name = run === 1 ? 'full load' : `refresh, every ${CHANGED_EVERY}th changed`;
        const memory = { 'loader MB': loaded.peakMB, 'worker MB more': rssAfter - rssBefore };
        const figures = { 'rows/s': loaded.rows / loaded.seconds, written: loaded.written, ...memory };
        cases.push({ name, figures: { ...figures, ...httpFigures(result) } });
      }
      return cases;
    } finally {
      await rig.close();
      await forget();
    }
  },
};

type Live = (seconds: number) => Pick<RunningLoad<HttpJob>, 'result' | 'enough'>;

async function liveLoad(context: BenchContext, rig: Rig): Promise<Live> {
  const gateway = await rig.startGateway();
  const request = { kind: 'send', batch: 1, waitForCommit: true } as const;
  const ratePerSecond = context.sizes.ratePerSecond ?? RATE;
  const measured = {
    url: gateway.url,
    key: rig.adminKey,
    measure: () => Promise.reject(new Error('not used')),
  };
  const job = httpJob(context, measured, { connections: CONNECTIONS, request, ratePerSecond });
  const profiles = Math.min(PROFILES_MAX, context.sizes.profiles);
  let calls = 0;
  return (seconds) => {
    calls += 1;
    const workload = { ...job.workload, name: `${job.workload.name}-${calls}`, profiles };
    const warmUpSeconds = calls === 1 ? Math.max(10, job.warmUpSeconds) : 0;
    return rig.startLoad({ ...job, seconds, warmUpSeconds, workload });
  };
}

/** The live load for as long as the rows are loaded, and a second longer: they are in force then, and first read. */
async function beside<T>(load: () => Promise<T>, live: Live): Promise<readonly [T, HttpResult]> {
  const requests = live(LOAD_DEADLINE_MS / 1000);
  const loaded = await load();
  await sleep(1000);
  requests.enough();
  return [loaded, await requests.result];
}

export interface Loaded {
  readonly rows: number;
  readonly written: number;
  readonly seconds: number;
  readonly peakMB: number;
}

/** Loads a file by the command that a user would take. */
export async function loadTable(rig: Rig, file: string, table = 'crm'): Promise<Loaded> {
  const args = [
    'batch',
    'load',
    table,
    file,
    '--segment',
    rig.names.segment,
    '--nats-url',
    rig.server.url,
    '--json',
  ];
  const child = spawn(process.execPath, [packagePath('dist/infra/cli/main.js'), ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let out = '';
  let peakBytes = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  let code: number | null | undefined;
  child.on('close', (ended) => {
    code = ended;
  });
  const look = () => {
    peakBytes = Math.max(peakBytes, readUse(child.pid ?? 0)?.rssPeakBytes ?? 0);
    return code !== undefined;
  };
  await waitFor('the table is loaded', look, { deadlineMs: LOAD_DEADLINE_MS, pollMs: 50 });
  if (code !== 0) throw new Error(`batch load ended with ${code}`);
  return { ...(JSON.parse(out) as Loaded), peakMB: peakBytes / 1e6 };
}

/** Rows of the profiles of the bench and of many others; in the second run every so many-th is another one. */
export async function writeRows(file: string, rows: number, run: number): Promise<void> {
  const stream = createWriteStream(file);
  stream.write('customer_id,tier,lifetime_spend,orders,last_purchase_at,next_best_offer\n');
  for (let i = 0; i < rows; i++) {
    const version = run > 1 && i % CHANGED_EVERY === 0 ? run : 1;
    const tier = ['Bronze', 'Silver', 'Gold'][(i + version) % 3];
    const line = `bench-${i},${tier},${(i % 5000) + version / 4},${i % 40},2026-0${(i % 9) + 1}-11T08:00:00Z,offer-${i % 300}\n`;
    if (!stream.write(line)) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'close');
}
