// `stitchwork demo`: the whole system with real data, told and checked, in under a minute.
import type { Command } from 'commander';
import { surviveTransportErrors } from '../../shared/nats/connect.ts';
import { runDemo } from '../demo/run-demo.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withExample, withJson } from './flags.ts';
import type { Io } from './io.ts';
import { endWith } from './nats-context.ts';

export function addDemo(program: Command, io: Io): void {
  const command = program
    .command('demo')
    .description(
      'start everything in a temporary folder, send real data, tell what came of it, check it, clean up',
    )
    .option('--log-level <level>', 'of the processes (default error)', 'error');
  withExample(withJson(command), 'stitchwork demo');
  command.action(async (flags: { json?: boolean; logLevel: string }) => {
    surviveTransportErrors(endWith(io));
    const right = await runDemo(io, { json: flags.json === true, logLevel: flags.logLevel });
    if (!right) throw new CommandFailure(EXIT.failed, 'the totals are not as counted');
  });
}
