// `stitchwork activator`: one process that carries activations to their destinations.
import type { Command } from 'commander';
import { parseRoleSettings, type RoleFlags } from '../../shared/settings.ts';
import { withDeliveryFlags, withExample, withJson, withRoleFlags, withSegmentFlags } from './flags.ts';
import type { Io } from './io.ts';

export function addActivator(program: Command, io: Io): void {
  const command = program
    .command('activator')
    .description('run an activator: carries activations to their destinations; as many as wanted');
  withJson(withSegmentFlags(withDeliveryFlags(withRoleFlags(command))));
  withExample(
    command,
    'CRM_SECRET=whsec_… stitchwork activator --config shop.yaml --nats-url nats://10.0.0.5:4222 --port 9092',
    'stitchwork activator --segment shop --allow-network 10.1.0.0/16',
  );
  command.action(async (flags: RoleFlags & { json?: boolean }) => {
    const settings = parseRoleSettings(flags, io.env);
    const [{ runRoleCommand }, { runActivator }] = await Promise.all([
      import('./run-role.ts'),
      import('../activator-role.ts'),
    ]);
    await runRoleCommand(
      'activator',
      settings,
      (deps) => runActivator(settings, deps),
      (role) => {
        const { id, url, segments } = role;
        if (flags.json) io.out(JSON.stringify({ id, url, segments, pid: process.pid }));
        else io.out(`activator ${id} of ${segments.join(', ')}${url ? `, metrics at ${url}/metrics` : ''}`);
      },
    );
  });
}
