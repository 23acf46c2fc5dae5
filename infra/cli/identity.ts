// `stitchwork identity simulate`: what events would do to identities, each decision with its reason. Needs no server.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import type { SimulatedEvent, SimulatedProfile } from '../../actors/profile/simulate.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { factLine, shortId } from './fact-line.ts';
import { withExample, withJson } from './flags.ts';
import { addIdentityJobs } from './identity-jobs.ts';
import { addIdentityWhy } from './identity-why.ts';
import type { Io } from './io.ts';

interface Flags {
  readonly config?: string;
  readonly json?: boolean;
}

export function addIdentity(program: Command, io: Io): void {
  const identity = program
    .command('identity')
    .description('look at how events are stitched to profiles, and put it right by hand');
  const simulate = identity
    .command('simulate')
    .description(
      'apply events (NDJSON) to nothing, and tell each decision with its reason and the profiles at the end',
    )
    .argument('[file]', 'file of events, one a line; - or nothing: standard input', '-')
    .option('-c, --config <file>', 'segment config (YAML)');
  withExample(
    withJson(simulate),
    'stitchwork identity simulate events.ndjson --config shop.yaml',
    `echo '{"name":"Sign in","keys":{"email":"ann@x.org","anonymous_id":"a1"}}' | stitchwork identity simulate -c shop.yaml --json`,
  );
  simulate.action((file: string, flags: Flags) => runSimulation(file, flags, io));
  addIdentityJobs(identity, io);
  addIdentityWhy(identity, io);
}

async function runSimulation(file: string, flags: Flags, io: Io): Promise<void> {
  if (flags.config === undefined)
    throw new CommandFailure(EXIT.usage, 'identity simulate needs --config FILE');
  const { loadSegmentFiles } = await import('../segment-files.ts');
  const { IdentitySimulation } = await import('../../actors/profile/simulate.ts');
  const { parseEvent } = await import('../../shared/contract/parse-event.ts');
  const [source] = await loadSegmentFiles([flags.config]);
  const { config } = source!;
  const simulation = new IdentitySimulation(config, io.clock.nowMs());
  const keyNames = config.stitching.keys.map(({ name }) => name);
  let line = 0;
  let refused = 0;
  for await (const text of createInterface({
    input: file === '-' ? process.stdin : createReadStream(file),
  })) {
    line += 1;
    if (text.trim() === '') continue;
    const parsed = parseEvent(jsonOf(text, line), keyNames, () => `line-${line}`);
    if (parsed.kind === 'rejected') {
      refused += 1;
      io.talk(`line ${line}: ${parsed.code} ${parsed.message}`);
      continue;
    }
    const told = await simulation.apply(parsed.event);
    io.out(flags.json ? JSON.stringify({ event: told }) : describeEvent(told));
  }
  const profiles = simulation.profiles();
  if (flags.json) io.out(JSON.stringify({ profiles }));
  else for (const text of describeProfiles(profiles, io)) io.out(text);
  if (refused > 0) throw new CommandFailure(EXIT.problems, `${refused} lines are no events`);
}

function jsonOf(text: string, line: number): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new CommandFailure(EXIT.failed, `line ${line} is not JSON: ${text.slice(0, 80)}`);
  }
}

function describeEvent({ index, messageId, name, profileId, facts }: SimulatedEvent): string {
  const whose = profileId === null ? 'nobody' : shortId(profileId);
  const what = facts.map(factLine).join('; ');
  return `${String(index + 1).padStart(5)}  ${name} (${messageId}) -> ${whose}${what === '' ? '' : `: ${what}`}`;
}

function describeProfiles(profiles: readonly SimulatedProfile[], io: Io): readonly string[] {
  return [
    io.style.bold(`${profiles.length} profile${profiles.length === 1 ? '' : 's'}`),
    ...profiles.map(({ id, keys, mergedFrom }) => {
      const listed = Object.entries(keys).flatMap(([name, values]) =>
        values.map((value) => `${name}:${value}`),
      );
      const merges = mergedFrom.length === 0 ? '' : io.style.dim(` (${mergedFrom.length} merged into it)`);
      return `  ${shortId(id)}  ${listed.join('  ')}${merges}`;
    }),
  ];
}
