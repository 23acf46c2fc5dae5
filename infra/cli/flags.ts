// Flags that several commands share, so that they mean the same everywhere.
import { type Command, Option } from 'commander';
import { LOG_LEVELS } from '../../shared/settings.ts';

export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

export function logLevelOption(description: string): Option {
  return new Option('--log-level <level>', description).choices(LOG_LEVELS);
}

/** Flags of every command that runs a role. */
export function withRoleFlags(command: Command): Command {
  return command
    .addOption(
      new Option('-c, --config <file>', 'segment config, one a parent segment (repeatable)').argParser(
        collect,
      ),
    )
    .option('--nats-url <url>', 'NATS server to use (env NATS_URL)')
    .option('-p, --port <number>', 'HTTP port, 0 for any free one (env STITCHWORK_PORT)')
    .option('--host <address>', 'address to listen on (env STITCHWORK_HOST; default 127.0.0.1)')
    .option('--data-dir <folder>', 'where data is kept (env STITCHWORK_DATA_DIR; default .stitchwork)')
    .addOption(logLevelOption('of the log on stderr (env STITCHWORK_LOG_LEVEL; default info)'))
    .option('--shards <number>', 'shards of a new segment, fixed for its life (default 64)')
    .option('--replicas <number>', 'copies of each stream in a NATS cluster (default 1)')
    .option('--events-max-bytes <size>', 'size limit of the event log of a segment (default 10GB)')
    .option('--activations-age <duration>', 'how long activations are kept (default 30d)')
    .option(
      '--events-retention <duration>',
      'how long applied events are kept while the log has room (default 7d)',
    );
}

/** Flags of a role that keeps the archive. */
export function withArchiveFlags(command: Command): Command {
  return command
    .option(
      '--archive-flush <duration>',
      'an event waits about so long for the archive (env STITCHWORK_ARCHIVE_FLUSH; default 10s)',
    )
    .option(
      '--jobs <folder>',
      'batch jobs (env STITCHWORK_JOBS; default: the folder jobs of the data folder)',
    )
    .option('--export-cron <expression>', 'when to export (env STITCHWORK_EXPORT_CRON; default: never)')
    .option('--export-timezone <zone>', 'of the schedule (env STITCHWORK_EXPORT_TIMEZONE; default UTC)')
    .option(
      '--export-dir <folder>',
      'where exports lie (env STITCHWORK_EXPORT_DIR; default: the folder exports of the data folder)',
    )
    .option('--export-keep <number>', 'so many exports stay (env STITCHWORK_EXPORT_KEEP; default 7)');
}

/** Flags of a role that delivers activations. */
export function withDeliveryFlags(command: Command): Command {
  return command.addOption(
    new Option(
      '--allow-network <network>',
      'network outside of the public internet that destinations may be in, such as 10.1.0.0/16 (repeatable; env STITCHWORK_ALLOW_NETWORK)',
    ).argParser(collect),
  );
}

/** Flags of a role that answers HTTP from outside. */
export function withGatewayFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--trust-proxy <network>',
        'proxy in front whose X-Forwarded-For is believed, such as 10.0.0.0/8 (repeatable; env STITCHWORK_TRUST_PROXY)',
      ).argParser(collect),
    )
    .addOption(
      new Option(
        '--td-host <host>',
        "host at whose root Treasure Data's addresses stand, besides /td; * for every host (repeatable; env STITCHWORK_TD_HOST)",
      ).argParser(collect),
    );
}

/** A role that may take its segments from the config store instead of files. */
export function withSegmentFlags(command: Command): Command {
  return command.addOption(
    new Option(
      '--segment <name>',
      'segment whose deployed config is used, when there is no --config (repeatable)',
    ).argParser(collect),
  );
}

export function withJson(command: Command): Command {
  return command.option('--json', 'machine-readable output: one JSON document, or one a line for streams');
}

/** Flags of commands that speak with a gateway. */
export function withApiFlags(command: Command): Command {
  return withJson(
    command
      .option(
        '--url <url>',
        'gateway to ask (env STITCHWORK_URL; default: the dev process of --data-dir, else http://127.0.0.1:8080)',
      )
      .option('--key <key>', 'API key (env STITCHWORK_ADMIN_KEY or STITCHWORK_WRITE_KEY)')
      .option('--segment <name>', 'parent segment, when several are deployed')
      .option('--data-dir <folder>', 'data folder of a dev process on this machine (default .stitchwork)'),
  );
}

/** Flags of commands that read the streams themselves. */
export function withNatsFlags(command: Command): Command {
  return withJson(
    command
      .option(
        '--nats-url <url>',
        'NATS server (env NATS_URL; default: the dev process of --data-dir, else nats://127.0.0.1:4222)',
      )
      .option('--segment <name>', 'parent segment, when several are deployed')
      .option('--data-dir <folder>', 'data folder of a dev process on this machine (default .stitchwork)'),
  );
}

/** Adds an example to the help of a command. */
export function withExample(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExample:\n${lines.map((line) => `  $ ${line}`).join('\n')}`);
}

/** Flags of commands that change a config. */
export function withChangeFlags(command: Command): Command {
  return command
    .option('--note <text>', 'why, for the history')
    .option('--if-version <number>', 'only if this version is in force')
    .option('--dry-run', 'tell what would change, and change nothing')
    .option('-y, --yes', 'do not ask');
}
