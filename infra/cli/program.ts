// The command line as a whole: every command, one set of habits (help with an example, exit codes, suggestions). What only
// some commands need (the server's parts, the config compiler) they load when they run, so that the others start fast.
import { Command } from 'commander';
import { packageVersion } from '../package-root.ts';
import { addActivations } from './activations.ts';
import { addActivator } from './activator.ts';
import { addApply } from './apply.ts';
import { addAudiences } from './audiences.ts';
import { addAudit } from './audit.ts';
import { addBatch } from './batch.ts';
import { addBench } from './bench.ts';
import { addCluster } from './cluster.ts';
import { addCompletion } from './completion.ts';
import { addConfig } from './config.ts';
import { addDead } from './dead.ts';
import { addDemo } from './demo.ts';
import { addDev } from './dev.ts';
import { addDiff } from './diff.ts';
import { addDoctor } from './doctor.ts';
import { describeFailure } from './exit.ts';
import { addGateway } from './gateway.ts';
import { addIdentity } from './identity.ts';
import type { Io } from './io.ts';
import { addJourney } from './journey.ts';
import { addProfile } from './profile.ts';
import { addReplay } from './replay.ts';
import { addRollback } from './rollback.ts';
import { addSchema } from './schema.ts';
import { addCompare, addSegment } from './shadow.ts';
import { addStatus } from './status.ts';
import { addTail } from './tail.ts';
import { addTrace } from './trace.ts';
import { addValidate } from './validate.ts';
import { addVersions } from './versions.ts';
import { addWorker } from './worker.ts';

const EXIT_CODES = `
Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 not found, 4 cannot reach the server, 5 a check found problems.
Data goes to stdout, talk to stderr. NO_COLOR is honoured.`;

/** Runs one command line. Returns the exit code; never throws. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  const program = buildProgram(io);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    const { exitCode, message } = describeFailure(error);
    if (message !== '') io.talk(`stitchwork: ${message}`);
    return exitCode;
  }
}

/** Every command, ready to parse. */
export function buildProgram(io: Io): Command {
  const program = new Command('stitchwork')
    .description('A real-time customer profile engine on NATS JetStream.')
    .version(packageVersion())
    .exitOverride()
    // A command and those below it may have flags of the same names.
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for more)')
    .configureOutput({
      writeOut: (text) => io.out(text.replace(/\n$/, '')),
      writeErr: (text) => io.talk(text.replace(/\n$/, '')),
    })
    .addHelpText('after', EXIT_CODES);
  for (const add of [
    addDev,
    addCluster,
    addGateway,
    addWorker,
    addActivator,
    addBatch,
    addStatus,
    addDoctor,
    addTail,
    addProfile,
    addIdentity,
    addAudiences,
    addJourney,
    addAudit,
    addActivations,
    addTrace,
    addValidate,
    addDiff,
    addApply,
    addVersions,
    addRollback,
    addConfig,
    addSchema,
    addReplay,
    addCompare,
    addSegment,
    addDead,
    addDemo,
    addBench,
    addCompletion,
  ]) {
    add(program, io);
  }
  return program;
}
