// `stitchwork demo`: the whole system with real data, told and checked, in under a minute.
import type { Command } from 'commander';
import { CommandFailure, EXIT } from './exit.ts';
import { logLevelOption, withExample, withJson } from './flags.ts';
import type { Io } from './io.ts';

export function addDemo(program: Command, io: Io): void {
  const command = program
    .command('demo')
    .description(
      'start everything in a temporary folder, send real data, tell what came of it, check it, clean up',
    )
    .addOption(logLevelOption('of the processes').default('error'));
  withExample(withJson(command), 'stitchwork demo');
  command.action(async (flags: { json?: boolean; logLevel: string }) => {
    const { runDemo } = await import('../demo/run-demo.ts');
    const right = await runDemo(io, { json: flags.json === true, logLevel: flags.logLevel });
    if (!right) throw new CommandFailure(EXIT.failed, 'the totals are not as counted');
  });
}
