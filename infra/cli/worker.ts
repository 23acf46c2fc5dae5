// `stitchwork worker`: one worker process.
import type { Command } from 'commander';
import { parseRoleSettings, type RoleFlags } from '../../shared/settings.ts';
import { withExample, withJson, withRoleFlags, withSegmentFlags } from './flags.ts';
import type { Io } from './io.ts';

export function addWorker(program: Command, io: Io): void {
  const command = program
    .command('worker')
    .description('run a worker: owns shards, applies events, commits profiles');
  withJson(withSegmentFlags(withRoleFlags(command)));
  withExample(
    command,
    'stitchwork worker --config shop.yaml --nats-url nats://10.0.0.5:4222 --port 9090',
    'curl http://127.0.0.1:9090/metrics',
  );
  command.action(async (flags: RoleFlags & { json?: boolean }) => {
    const settings = parseRoleSettings(flags, io.env);
    const [{ runRoleCommand }, { runWorker }] = await Promise.all([
      import('./run-role.ts'),
      import('../wire.ts'),
    ]);
    await runRoleCommand(
      'worker',
      settings,
      (deps) => runWorker(settings, deps),
      (role) => {
        const { id, url, segments } = role;
        if (flags.json) io.out(JSON.stringify({ id, url, segments, pid: process.pid }));
        else io.out(`worker ${id} of ${segments.join(', ')}${url ? `, metrics at ${url}/metrics` : ''}`);
      },
    );
  });
}
