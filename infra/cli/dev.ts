// `stitchwork dev`: gateway, worker and nats-server in one process tree, with the demo config unless told otherwise.
// Its data folder is kept, so a restart goes on where it stopped, with the same keys.
import type { Command } from 'commander';
import { type DevHandle, parseRoleSettings, type RoleFlags } from '../../shared/settings.ts';
import { packagePath } from '../package-root.ts';
import type { RunningDev } from '../wire.ts';
import { lastDevHandle, writeDevHandle } from './dev-handle.ts';
import { CommandFailure, EXIT } from './exit.ts';
import {
  withArchiveFlags,
  withDeliveryFlags,
  withExample,
  withGatewayFlags,
  withJson,
  withRoleFlags,
} from './flags.ts';
import type { Io } from './io.ts';

export const DEMO_CONFIG = packagePath('infra/demo/shop.yaml');

export function addDev(program: Command, io: Io): void {
  const command = program
    .command('dev')
    .description('run everything in one process, with an embedded nats-server and the demo config');
  withJson(withGatewayFlags(withDeliveryFlags(withArchiveFlags(withRoleFlags(command)))));
  command
    .option('--tls', 'https as well, with a certificate made for this machine')
    .option('--tls-port <number>', 'its port, 0 for any free one (default 8443; with --port 0 any)');
  withExample(command, 'stitchwork dev', 'stitchwork dev --config shop.yaml --port 0 --data-dir /tmp/shop');
  command.action(async (flags: RoleFlags & { json?: boolean }) => {
    const given = parseRoleSettings({ logLevel: io.env.STITCHWORK_LOG_LEVEL ?? 'warn', ...flags }, io.env);
    const known = lastDevHandle(given.dataDir);
    if (known && (await answers(known.url))) {
      throw new CommandFailure(
        EXIT.failed,
        `a dev process runs on ${given.dataDir} already, at ${known.url}`,
      );
    }
    const settings = {
      ...given,
      configFiles: given.configFiles.length > 0 ? given.configFiles : [DEMO_CONFIG],
      adminKeys: keysOr(given.adminKeys, known?.adminKey),
      writeKeys: keysOr(given.writeKeys, known?.writeKey),
      // What is tried out mostly delivers to this machine.
      allowNetworks: given.allowNetworks.length > 0 ? given.allowNetworks : LOOPBACK,
    };
    const [{ runRoleCommand }, { runDev }] = await Promise.all([
      import('./run-role.ts'),
      import('../wire.ts'),
    ]);
    await runRoleCommand(
      'dev',
      settings,
      (deps) => runDev(settings, deps),
      (dev) => {
        const { url, tlsUrl, natsUrl, adminKey, writeKey, segments, tokens } = dev;
        const pid = process.pid;
        const handle: DevHandle = { url, tlsUrl, natsUrl, adminKey, writeKey, segments, tokens, pid };
        writeDevHandle(settings.dataDir, handle);
        if (flags.json) io.out(JSON.stringify(handle));
        else for (const line of welcome(dev, settings.dataDir, io)) io.out(line);
      },
    );
  });
}

const LOOPBACK = ['127.0.0.0/8', '::1'];
const ANSWER_DEADLINE_MS = 1000;

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health/live`, { signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) })).ok;
  } catch {
    return false;
  }
}

function keysOr(keys: readonly string[], known: string | undefined): readonly string[] {
  if (keys.length > 0 || known === undefined) return keys;
  return [known];
}

function welcome(dev: RunningDev, dataDir: string, io: Io): readonly string[] {
  const { bold, dim } = io.style;
  const event = '{"name":"product_view","keys":{"cookie":"c-1"},"properties":{"category":"Shoes"}}';
  return [
    bold(`Stitchwork dev: segment ${dev.segments.join(', ')}`),
    `  gateway    ${dev.url}  (OpenAPI at ${dev.url}/openapi.json)`,
    ...(dev.tlsUrl === undefined
      ? []
      : [`  https      ${dev.tlsUrl}  ${dim(`(certificate: ${dataDir}/tls/cert.pem)`)}`]),
    `  NATS       ${dev.natsUrl}`,
    `  write key  ${dev.writeKey}`,
    `  admin key  ${dev.adminKey}`,
    ...Object.entries(dev.tokens).map(([service, token]) => `  token      ${token}  (service ${service})`),
    `  data       ${dataDir}  ${dim('(kept; one copy on this disk: not for production)')}`,
    '',
    'Send an event:',
    `  curl -s ${dev.url}/v1/events -H 'Authorization: Bearer ${dev.writeKey}' -H 'Content-Type: application/json' -d '${event}'`,
    'See the profile:',
    '  npx stitchwork profile get cookie c-1',
    '',
    dim('Ctrl-C stops everything.'),
  ];
}
