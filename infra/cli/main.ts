#!/usr/bin/env node
// The bin of the package: the only file that does something on load.
import { processIo } from './io.ts';
import { runCli } from './program.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of a pipe went away: nothing is left to say.
  if (error.code === 'EPIPE') process.exit(0);
});
const exitCode = await runCli(process.argv.slice(2), processIo());
// Output to a pipe may still be under way; what else keeps the process alive is not worth waiting for.
process.exitCode = exitCode;
process.stdout.write('', () => process.exit(exitCode));
