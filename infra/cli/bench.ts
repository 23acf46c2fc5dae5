// `stitchwork bench`: how fast it is here, or how fast a running deployment answers.
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import type { Scenario, Sizes, Target } from '../bench/scenario.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withExample, withJson } from './flags.ts';
import type { Io } from './io.ts';

interface BenchFlags {
  readonly only?: string;
  readonly runs: string;
  readonly quick?: boolean;
  readonly peers?: boolean;
  readonly url?: string;
  readonly key?: string;
  readonly segment?: string;
  readonly keys: string;
  readonly profiles?: string;
  readonly events?: string;
  readonly rate?: string;
  readonly duration?: string;
  readonly cpuProf?: boolean;
  readonly out?: string;
  readonly json?: boolean;
}

const FULL: Sizes = {
  profiles: 100_000,
  events: 300_000,
  seconds: 15,
  warmUpSeconds: 5,
  manyProfiles: 1_000_000,
  ratePerSecond: undefined,
};
const QUICK: Sizes = {
  profiles: 20_000,
  events: 80_000,
  seconds: 4,
  warmUpSeconds: 2,
  manyProfiles: 100_000,
  ratePerSecond: undefined,
};
const PROFILE_FOLDER = '.stitchwork/bench-profiles';

export function addBench(program: Command, io: Io): void {
  const command = program
    .command('bench')
    .description(
      'measure events, requests and take-overs with processes of its own; with --url the HTTP side of a deployment',
    )
    .option('--only <names>', 'scenarios to run, separated by commas (default: all but the longest)')
    .option('--runs <number>', 'runs; medians are told', '3')
    .option('--quick', 'fewer profiles and events, shorter loads')
    .option('--peers', 'the same task on PostgreSQL, Redis and plain key-value NATS, where installed')
    .option('--url <url>', 'measure this deployment: writes made-up customers named bench-… into it')
    .option('--key <key>', 'its API key (env STITCHWORK_ADMIN_KEY or STITCHWORK_WRITE_KEY)')
    .option('--segment <name>', 'its parent segment, when several are deployed')
    .option('--keys <names>', 'its stitching keys, strongest first', 'customer_id,cookie,session')
    .option('--profiles <number>', 'profiles that events are about')
    .option('--events <number>', 'events of a backlog')
    .option('--rate <number>', 'requests a second of open loops')
    .option('--duration <duration>', 'of each load, such as 30s')
    .option(
      '--cpu-prof',
      `keep CPU profiles of gateways and workers (in FILE.profiles, else ${PROFILE_FOLDER})`,
    )
    .option('--out <file>', 'also write the report as JSON to this file');
  withExample(
    withJson(command),
    'stitchwork bench --only apply,ceiling --runs 1 --quick',
    'stitchwork bench --url https://cdp.example --key … --only http-batch,wait-commit --rate 200 --duration 30s',
  );
  command.action((flags: BenchFlags) => run(flags, io));
}

async function run(flags: BenchFlags, io: Io): Promise<void> {
  const sizes = sizesOf(flags);
  const runs = whole('--runs', flags.runs, 1, 100) ?? 1;
  const target = targetOf(flags, io);
  const [{ SCENARIOS }, { runBench }, { describeReport }] = await Promise.all([
    import('../bench/scenarios/all.ts'),
    import('../bench/run-bench.ts'),
    import('../bench/report.ts'),
  ]);
  const scenarios = choose(SCENARIOS, flags);
  const profileDir = flags.cpuProf
    ? resolve(flags.out ? `${flags.out}.profiles` : PROFILE_FOLDER)
    : undefined;
  const report = await runBench(
    { scenarios, runs, quick: flags.quick === true, sizes, profileDir, target },
    io,
  );
  if (flags.out !== undefined) await writeFile(flags.out, `${JSON.stringify(report, null, 2)}\n`);
  if (flags.json) io.out(JSON.stringify(report));
  else for (const line of describeReport(report, io.style)) io.out(line);
  const failed = report.scenarios.filter(({ failures }) => failures.length > 0);
  if (failed.length > 0)
    throw new CommandFailure(EXIT.failed, `failed: ${failed.map(({ name }) => name).join(', ')}`);
}

function choose(all: readonly Scenario[], flags: BenchFlags): readonly Scenario[] {
  if (flags.url !== undefined && flags.peers)
    throw new CommandFailure(EXIT.usage, '--peers compares on this machine: leave out --url');
  const possible = flags.url === undefined ? all : all.filter(({ remote }) => remote);
  if (flags.only === undefined) {
    return possible.filter(({ name, byDefault }) => (flags.peers ? name === 'peers' : byDefault));
  }
  const names = flags.only.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !possible.some((scenario) => scenario.name === name));
  if (unknown.length > 0) {
    const known = possible.map(({ name }) => name).join(', ');
    throw new CommandFailure(EXIT.usage, `--only ${unknown.join(',')}: known here: ${known}`);
  }
  return possible.filter(({ name }) => names.includes(name));
}

function sizesOf(flags: BenchFlags): Sizes {
  const base = flags.quick ? QUICK : FULL;
  const durationMs = flags.duration === undefined ? undefined : parseDurationMs(flags.duration);
  if (flags.duration !== undefined && !(durationMs !== undefined && durationMs >= 1000))
    throw new CommandFailure(EXIT.usage, `--duration ${flags.duration}: give a duration of at least 1s`);
  return {
    ...base,
    profiles: whole('--profiles', flags.profiles, 1000, 10_000_000) ?? base.profiles,
    events: whole('--events', flags.events, 1000, 100_000_000) ?? base.events,
    ratePerSecond: whole('--rate', flags.rate, 1, 1_000_000),
    seconds: durationMs === undefined ? base.seconds : durationMs / 1000,
  };
}

function targetOf(flags: BenchFlags, io: Io): Target | undefined {
  if (flags.url === undefined) return undefined;
  if (!URL.canParse(flags.url)) throw new CommandFailure(EXIT.usage, `--url ${flags.url}: not a URL`);
  const { STITCHWORK_ADMIN_KEY, STITCHWORK_WRITE_KEY } = io.env;
  const fromEnv = (STITCHWORK_ADMIN_KEY ?? STITCHWORK_WRITE_KEY)?.split(',')[0]?.trim();
  return {
    url: flags.url.replace(/\/+$/, ''),
    key: flags.key ?? fromEnv,
    segment: flags.segment,
    keys: flags.keys.split(',').map((name) => name.trim()),
  };
}

function whole(flag: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new CommandFailure(EXIT.usage, `${flag} ${text}: give a whole number from ${min} to ${max}`);
}
