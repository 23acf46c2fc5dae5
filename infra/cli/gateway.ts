// `stitchwork gateway`: one gateway process.
import type { Command } from 'commander';
import { parseRoleSettings, type RoleFlags } from '../../shared/settings.ts';
import { withExample, withGatewayFlags, withJson, withRoleFlags, withSegmentFlags } from './flags.ts';
import type { Io } from './io.ts';

export function addGateway(program: Command, io: Io): void {
  const command = program
    .command('gateway')
    .description('run a gateway: takes events over HTTP, answers profile reads');
  withJson(withGatewayFlags(withSegmentFlags(withRoleFlags(command))));
  withExample(
    command,
    'STITCHWORK_ADMIN_KEY=… STITCHWORK_WRITE_KEY=… stitchwork gateway --config shop.yaml --nats-url nats://10.0.0.5:4222',
    'stitchwork gateway --segment shop --port 8081',
  );
  command.action(async (flags: RoleFlags & { json?: boolean }) => {
    const settings = parseRoleSettings(flags, io.env);
    const [{ runRoleCommand }, { runGateway }] = await Promise.all([
      import('./run-role.ts'),
      import('../wire.ts'),
    ]);
    await runRoleCommand(
      'gateway',
      settings,
      (deps) => runGateway(settings, deps),
      (role) => {
        if (flags.json) io.out(JSON.stringify({ url: role.url, segments: role.segments, pid: process.pid }));
        else io.out(`gateway of ${role.segments.join(', ')} at ${role.url}`);
      },
    );
  });
}
