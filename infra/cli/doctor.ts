// `stitchwork doctor`: looks at everything that a deployment rests on, and says what to do about what is not right.
import { type Command, Option } from 'commander';
import { type ClientFlags, type ClientSettings, clientDataDir } from '../../shared/settings.ts';
import type { CheckResult, CheckStatus } from '../doctor/check.ts';
import { clientSettings } from './client-context.ts';
import { readDevHandle } from './dev-handle.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { collect, withApiFlags, withExample } from './flags.ts';
import type { Io, Style } from './io.ts';

interface DoctorFlags extends ClientFlags {
  readonly json?: boolean;
  readonly config?: readonly string[];
  readonly monitorUrl?: string;
}

export function addDoctor(program: Command, io: Io): void {
  const command = program
    .command('doctor')
    .description(
      'check everything that a deployment rests on; each finding with its fix; exit 5 on a problem',
    )
    .addOption(
      new Option('-c, --config <file>', 'segment config to check as well (repeatable)').argParser(collect),
    )
    .option(
      '--nats-url <url>',
      'NATS server (env NATS_URL; default: the dev process of --data-dir, else nats://127.0.0.1:4222)',
    )
    .option(
      '--monitor-url <url>',
      'monitoring port of nats-server: it tells what clients cannot see, such as http://127.0.0.1:8222',
    );
  withExample(
    withApiFlags(command),
    'stitchwork doctor',
    'stitchwork doctor --nats-url nats://10.0.0.5:4222 --monitor-url http://10.0.0.5:8222 --config shop.yaml',
    `stitchwork doctor --json | jq '.checks[] | select(.status == "problem")'`,
  );
  command.action(async (flags: DoctorFlags) => {
    const settings = clientSettings(flags, io);
    const { surviveTransportErrors } = await import('../../shared/nats/connect.ts');
    const { endWith } = await import('./nats-context.ts');
    surviveTransportErrors(endWith(io));
    const { runDoctor } = await import('../doctor/run-doctor.ts');
    const { checks, reachable } = await runDoctor({
      settings,
      segment: flags.segment ?? (io.env.STITCHWORK_SEGMENT || undefined),
      env: io.env,
      clock: io.clock,
      nodeVersion: process.versions.node,
      configFiles: flags.config ?? [],
      monitorUrl: flags.monitorUrl,
      ...surroundings(settings, flags, io),
    });
    const problems = checks.filter(({ status }) => status === 'problem').length;
    if (flags.json) io.out(JSON.stringify({ ok: problems === 0, reachable, checks }));
    else for (const line of checks.flatMap((check) => describeCheck(check, io.style))) io.out(line);
    if (!reachable) throw new CommandFailure(EXIT.unreachable, 'cannot reach nats-server');
    if (problems > 0)
      throw new CommandFailure(EXIT.problems, `${problems} of ${checks.length} checks found a problem`);
  });
}

/** Whether this is the surroundings of a dev process, and whether a gateway has to be there. */
function surroundings(
  settings: ClientSettings,
  flags: DoctorFlags,
  io: Io,
): { readonly dev: boolean; readonly gatewayExpected: boolean } {
  const handle = readDevHandle(clientDataDir(flags, io.env));
  const dev = handle !== undefined && handle.natsUrl === settings.natsUrl;
  const named = flags.url !== undefined || Boolean(io.env.STITCHWORK_URL);
  return { dev, gatewayExpected: named || handle?.url === settings.url };
}

const LABELS: Readonly<Record<CheckStatus, string>> = {
  ok: 'ok      ',
  warning: 'warning ',
  problem: 'PROBLEM ',
  skipped: 'skipped ',
};

function describeCheck({ name, status, found, fix }: CheckResult, style: Style): readonly string[] {
  const label = paint(status, style)(LABELS[status]);
  const line = `${label} ${style.bold(name)}: ${found}`;
  return fix === undefined ? [line] : [line, `         ${style.dim('->')} ${fix}`];
}

function paint(status: CheckStatus, style: Style): (text: string) => string {
  switch (status) {
    case 'ok':
      return style.green;
    case 'warning':
      return style.bold;
    case 'problem':
      return style.red;
    case 'skipped':
      return style.dim;
  }
}
