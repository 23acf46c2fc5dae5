// How a command runs a role: the filter for socket errors, signals, the deadline for stopping, the exit code.
import { systemClock } from '../../shared/kernel/clock.ts';
import { surviveTransportErrors } from '../../shared/nats/connect.ts';
import type { RoleSettings } from '../../shared/settings.ts';
import { createLog, type Log } from '../log.ts';
import type { RoleDeps } from '../open-segments.ts';
import { type RunningRole, runRole } from '../role.ts';
import { createRegistry } from '../wire.ts';
import { CommandFailure } from './exit.ts';

const STOP_DEADLINE_MS = 20_000;

/** Runs a role until it is told to stop. Throws CommandFailure when it did not end well. */
export async function runRoleCommand<Role extends RunningRole>(
  name: string,
  settings: RoleSettings,
  start: (deps: RoleDeps) => Promise<Role>,
  onReady: (role: Role, log: Log) => void,
): Promise<void> {
  const log = createLog(name, settings.logLevel);
  surviveTransportErrors((error) => {
    log.fatal({ err: error }, 'broke');
    process.exit(1);
  });
  const ready = async () => {
    const role = await start({ log, registry: createRegistry() });
    onReady(role, log);
    return role;
  };
  const { exitCode } = await runRole(ready, { log, clock: systemClock, stopDeadlineMs: STOP_DEADLINE_MS });
  if (exitCode !== 0) throw new CommandFailure(exitCode, '');
}
