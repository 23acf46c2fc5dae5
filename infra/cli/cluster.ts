// `stitchwork cluster`: a NATS cluster, gateways, workers, batch processes and activators on this machine, each a process of its
// own, until Ctrl-C.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { systemClock } from '../../shared/kernel/clock.ts';
import { parseRoleSettings } from '../../shared/settings.ts';
import type { RunningCluster } from '../cluster/local-cluster.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { collect, logLevelOption, withExample, withJson } from './flags.ts';
import type { Io } from './io.ts';

interface ClusterFlags {
  readonly config?: readonly string[];
  readonly dataDir?: string;
  readonly nodes: string;
  readonly gateways: string;
  readonly workers: string;
  readonly batch: string;
  readonly activators: string;
  readonly port: string;
  readonly natsPort: string;
  readonly logLevel: string;
  readonly json?: boolean;
}

const PROCESSES_MAX = 16;
const KEY_BYTES = 18;
const STOP_DEADLINE_MS = 60_000;

export function addCluster(program: Command, io: Io): void {
  const command = program
    .command('cluster')
    .description(
      'run a NATS cluster, gateways, workers, batch processes and activators on this machine, each a process of its own',
    )
    .option('-c, --config <file>', 'segment config (repeatable; default: the demo config)', collect)
    .option(
      '--data-dir <folder>',
      'keep data and logs here (default: a temporary folder, removed at the end)',
    )
    .option('--nodes <number>', 'nodes of the NATS cluster, and copies of each stream: 1, 3 or 5', '3')
    .option('--gateways <number>', 'gateway processes', '2')
    .option('--workers <number>', 'worker processes', '3')
    .option('--batch <number>', 'batch processes', '1')
    .option('--activators <number>', 'activator processes', '1')
    .option('-p, --port <number>', 'port of the first gateway, 0 for any free ones', '0')
    .option('--nats-port <number>', 'port of the first node, 0 for any free ones', '0')
    .addOption(logLevelOption('of the gateways and workers').default('info'));
  withExample(withJson(command), 'stitchwork cluster', 'stitchwork cluster --port 8080 --data-dir /tmp/shop');
  command.action((flags: ClusterFlags) => run(flags, io));
}

async function run(flags: ClusterFlags, io: Io): Promise<void> {
  const counts = countsOf(flags);
  const given = parseRoleSettings({ logLevel: flags.logLevel, port: flags.port }, io.env);
  const [{ runLocalCluster }, { runRole }, { createLog }, { DEMO_CONFIG }] = await Promise.all([
    import('../cluster/local-cluster.ts'),
    import('../role.ts'),
    import('../log.ts'),
    import('./dev.ts'),
  ]);
  const log = createLog('cluster', 'warn');
  const kept = flags.dataDir === undefined ? undefined : resolve(flags.dataDir);
  const folder = kept ?? (await mkdtemp(join(tmpdir(), 'stitchwork-cluster-')));
  const configFiles = (flags.config ?? [DEMO_CONFIG]).map((file) => resolve(file));
  const adminKey = given.adminKeys[0] ?? newKey('admin');
  const writeKey = given.writeKeys[0] ?? newKey('write');
  const options = { ...counts, folder, configFiles, adminKey, writeKey, logLevel: flags.logLevel };
  const start = async () => {
    if (!flags.json)
      io.talk(
        `starting ${counts.nodes} nodes, ${counts.gateways} gateways, ${counts.workers} workers, ${counts.batches} batch processes, ${counts.activators} activators`,
      );
    const cluster = await runLocalCluster(
      { ...options, env: inherited(io.env) },
      { log, clock: systemClock },
    );
    const summary = { ...describe(cluster), adminKey, writeKey, folder };
    if (flags.json) io.out(JSON.stringify(summary));
    else for (const line of welcome(summary, kept !== undefined, io)) io.out(line);
    return cluster;
  };
  try {
    const { exitCode } = await runRole(start, { log, clock: systemClock, stopDeadlineMs: STOP_DEADLINE_MS });
    if (exitCode !== 0) throw new CommandFailure(exitCode, '');
  } finally {
    if (kept === undefined) await rm(folder, { recursive: true, force: true });
  }
}

function countsOf(flags: ClusterFlags) {
  const whole = (flag: string, text: string, min: number, max: number): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new CommandFailure(EXIT.usage, `${flag} ${text}: give a whole number from ${min} to ${max}`);
  };
  const nodes = whole('--nodes', flags.nodes, 1, 5);
  if (nodes % 2 === 0) throw new CommandFailure(EXIT.usage, `--nodes ${nodes}: give 1, 3 or 5`);
  return {
    nodes,
    gateways: whole('--gateways', flags.gateways, 1, PROCESSES_MAX),
    workers: whole('--workers', flags.workers, 0, PROCESSES_MAX),
    batches: whole('--batch', flags.batch, 0, PROCESSES_MAX),
    activators: whole('--activators', flags.activators, 0, PROCESSES_MAX),
    port: whole('--port', flags.port, 0, 65_535 - PROCESSES_MAX),
    natsPort: whole('--nats-port', flags.natsPort, 0, 65_535 - PROCESSES_MAX),
  };
}

/** The settings of this process are not those of its children, whose flags say everything. */
function inherited(env: Io['env']): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(STITCHWORK_|NATS_URL$)/.test(name)));
}

function describe({ natsUrl, nodes, gateways, workers, batches, activators }: RunningCluster) {
  const list = (all: RunningCluster['nodes']) => all.map(({ name, url, pid }) => ({ name, url, pid }));
  return {
    natsUrl,
    nodes: list(nodes),
    gateways: list(gateways),
    workers: list(workers),
    batches: list(batches),
    activators: list(activators),
  };
}

function welcome(
  cluster: ReturnType<typeof describe> & { adminKey: string; writeKey: string; folder: string },
  kept: boolean,
  io: Io,
): readonly string[] {
  const { bold, dim } = io.style;
  const { nodes, gateways, workers, batches, activators } = cluster;
  const rows = [...nodes, ...gateways, ...workers, ...batches, ...activators].map(
    ({ name, url, pid }) => `  ${name.padEnd(11)} ${url.padEnd(28)} pid ${pid}`,
  );
  return [
    bold('Stitchwork cluster'),
    ...rows,
    `  write key  ${cluster.writeKey}`,
    `  admin key  ${cluster.adminKey}`,
    `  data       ${cluster.folder}  ${dim(kept ? '(kept)' : '(removed at the end)')}`,
    '',
    'End any of them and see what happens: it is started again.',
    `  kill -9 ${cluster.nodes[0]?.pid}`,
    `  STITCHWORK_ADMIN_KEY=${cluster.adminKey} npx stitchwork status --url ${cluster.gateways[0]?.url}`,
    '',
    dim('Ctrl-C stops everything.'),
  ];
}

function newKey(kind: 'admin' | 'write'): string {
  return `${kind}_${randomBytes(KEY_BYTES).toString('base64url')}`;
}
