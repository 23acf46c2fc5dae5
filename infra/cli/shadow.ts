// `stitchwork compare` and `stitchwork segment`: two segments beside one another, and shadows that are not wanted any more.
import { type Command, InvalidArgumentError } from 'commander';
import type { ClientFlags } from '../../shared/settings.ts';
import { withExample, withNatsFlags } from './flags.ts';
import type { Io } from './io.ts';

export interface ShadowFlags extends ClientFlags {
  readonly json?: boolean;
  readonly into?: string;
  readonly config?: string;
  readonly since?: string;
  readonly until?: string;
  readonly fromSeq?: string;
  readonly toSeq?: string;
  readonly only?: readonly string[];
  readonly compare?: boolean;
  readonly eventsMaxBytes?: string;
  readonly restart?: boolean;
  readonly examples?: string;
  readonly at?: string;
  readonly yes?: boolean;
}

export function addCompare(program: Command, io: Io): void {
  const command = program
    .command('compare')
    .description(
      'two segments beside one another: profiles, attributes, audiences, activations; exit 5 when they differ',
    )
    .argument('<first>', 'segment')
    .argument('<second>', 'segment, such as a shadow')
    .option('--at <time>', 'look at both as they are at this time (default: now)')
    .option('--examples <number>', 'so many of each kind', wholeNumber, '3');
  withExample(withNatsFlags(command), 'stitchwork compare shop shop-next --json');
  command.action(async (first: string, second: string, flags: ShadowFlags) => {
    const { runCompare } = await import('./replay-into.ts');
    await runCompare(first, second, flags, io);
  });
}

export function addSegment(program: Command, io: Io): void {
  const segment = program.command('segment').description('remove shadow segments');
  const rm = segment
    .command('rm')
    .description('remove a shadow segment with all that was replayed into it')
    .argument('<name>', 'the shadow')
    .option('-y, --yes', 'do it');
  withExample(withNatsFlags(rm), 'stitchwork segment rm shop-next --yes');
  rm.action(async (name: string, flags: ShadowFlags) => {
    const { removeShadow } = await import('./replay-into.ts');
    await removeShadow(name, flags, io);
  });
}

function wholeNumber(text: string): string {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('give a whole number');
  return text;
}
