// `stitchwork journey`: the journeys of the config, and how many profiles stand at each step.
import type { Command } from 'commander';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { apiGet } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withApiFlags, withExample } from './flags.ts';
import { type Io, table } from './io.ts';

interface Journey {
  readonly name: string;
  readonly state: string;
  readonly inside: number;
  readonly steps: readonly { readonly step: string; readonly kind: string; readonly inside: number }[];
}

type Flags = ClientFlags & { readonly json?: boolean };

export function addJourney(program: Command, io: Io): void {
  const journey = program.command('journey').description('journeys, and how many profiles are in them');
  const list = journey.command('list').description('the journeys of the config');
  withExample(withApiFlags(list), 'stitchwork journey list --segment shop');
  list.action(async (flags: Flags) => {
    const all = await read(flags, io);
    if (flags.json) io.out(JSON.stringify({ journeys: all }));
    else if (all.length === 0) io.talk('the config has no journeys');
    else
      for (const line of table(
        [
          ['journey', 'state', 'inside'],
          ...all.map(({ name, state, inside }) => [name, state, String(inside)]),
        ],
        io.style,
      ))
        io.out(line);
  });
  const show = journey
    .command('show')
    .description('the steps of one, and how many profiles wait at each')
    .argument('<name>', 'journey');
  withExample(withApiFlags(show), 'stitchwork journey show abandoned_cart');
  show.action(async (name: string, flags: Flags) => {
    const all = await read(flags, io);
    const found = all.find((each) => each.name === name);
    if (!found) throw unknown(name, all);
    if (flags.json) io.out(JSON.stringify(found));
    else for (const line of draw(found, io)) io.out(line);
  });
}

async function read(flags: Flags, io: Io): Promise<readonly Journey[]> {
  const answer = await apiGet(adminTarget(clientSettings(flags, io)), '/v1/journeys');
  return (answer as { readonly journeys: readonly Journey[] }).journeys;
}

function unknown(name: string, all: readonly Journey[]): CommandFailure {
  const known = all.map((each) => each.name);
  const meant = didYouMean(name, known);
  const hint =
    meant === undefined ? `the config has: ${known.join(', ') || 'none'}` : `did you mean ${meant}?`;
  return new CommandFailure(EXIT.notFound, `there is no journey '${name}'; ${hint}`);
}

/** Steps of branches stand further in. */
function draw({ name, state, inside, steps }: Journey, io: Io): readonly string[] {
  const head = `${io.style.bold(name)}  ${state}, ${inside} inside`;
  const lines = steps.map(({ step, kind, inside }) => {
    const indent = '  '.repeat(1 + step.split('.').length - 1);
    const waiting = inside > 0 ? `  ${io.style.bold(String(inside))}` : '';
    return `${indent}${step} ${kind}${waiting}`;
  });
  return [head, ...lines];
}
