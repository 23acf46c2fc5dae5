// A SQL job over an archive of many events, its result loaded as a snapshot: as a batch process runs it.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packagePath } from '../../package-root.ts';
import type { SqlJob, SqlJobResult } from '../load/sql-job.ts';
import { readUse } from '../process-stat.ts';
import { openRig } from '../rig.ts';
import type { Scenario } from '../scenario.ts';
import { waitFor } from '../wait-for.ts';

const CONFIG = 'infra/bench/snapshots.yaml';
const EVENTS_A_PROFILE = 10;
const CUSTOMERS = 200_000;
const DEADLINE_MS = 600_000;

export const sqlJob: Scenario = {
  name: 'job',
  about: `a SQL job (orders, spend, last product of ${CUSTOMERS} customers) over ten events for each of the many profiles, its result loaded as a snapshot`,
  remote: false,
  byDefault: false,
  async run(context) {
    const rig = await openRig(context, { config: CONFIG });
    const folder = await mkdtemp(join(tmpdir(), 'stitchwork-bench-archive-'));
    const forget = context.ownership.own(() => rm(folder, { recursive: true, force: true }));
    try {
      const events = context.sizes.manyProfiles * EVENTS_A_PROFILE;
      const place = { url: rig.server.url, segment: rig.names.segment, configFile: packagePath(CONFIG) };
      const job: SqlJob = { folder, ...place, events, customers: Math.min(CUSTOMERS, events / 10) };
      await runChild('make', job);
      const { out, peakMB } = await runChild('run', job);
      const { seconds, rows } = JSON.parse(out) as SqlJobResult;
      const figures = { 'events read': events, 'rows loaded': rows, s: seconds, MB: peakMB };
      return [{ name: 'whole run', figures: { ...figures, 'events/s': events / seconds } }];
    } finally {
      await rig.close();
      await forget();
    }
  },
};

async function runChild(
  what: string,
  job: SqlJob,
): Promise<{ readonly out: string; readonly peakMB: number }> {
  const program = packagePath('dist/infra/bench/load/sql-job.js');
  const child = spawn(process.execPath, [program, what, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'inherit'],
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
  await waitFor('the job is done', look, { deadlineMs: DEADLINE_MS, pollMs: 50 });
  if (code !== 0) throw new Error(`the job ended with ${code}`);
  return { out, peakMB: peakBytes / 1e6 };
}
