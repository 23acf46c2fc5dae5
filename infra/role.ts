// The life of a role's process: start, run until a signal or a failure, stop within a deadline.
//
//   starting -> running -> stopping -> exit 0
//        a second signal, or the deadline, ends it at once; a failure exits 1
import type { Clock } from '../shared/kernel/clock.ts';
import { errorText } from '../shared/kernel/errors.ts';
import type { Log } from './log.ts';

export interface RunningRole {
  /** Stops taking, finishes what is in flight, gives everything back. */
  stop(): Promise<void>;
  /** Resolves with the reason when the role can no longer work. */
  readonly failed: Promise<unknown>;
}

export type RoleEnd = { readonly exitCode: number };

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
const SECOND_SIGNAL_EXIT = 130;

/** Runs a role to its end. `start` may throw; then nothing is left to stop. */
export async function runRole(
  start: () => Promise<RunningRole>,
  deps: { readonly log: Log; readonly clock: Clock; readonly stopDeadlineMs: number },
): Promise<RoleEnd> {
  const { log } = deps;
  let signals = 0;
  let onSignal: (name: string) => void = () => {};
  const asked = new Promise<string>((resolve) => {
    onSignal = resolve;
  });
  const handler = (name: NodeJS.Signals) => {
    signals += 1;
    if (signals > 1) process.exit(SECOND_SIGNAL_EXIT);
    log.info({ signal: name }, 'stopping');
    onSignal(name);
  };
  for (const name of SIGNALS) process.on(name, handler);
  try {
    const role = await start();
    const failure = await Promise.race([
      asked.then(() => undefined),
      role.failed.then((error) => ({ error })),
    ]);
    if (failure) log.error({ err: failure.error }, `cannot go on: ${errorText(failure.error)}`);
    const stopped = await stopInTime(role, deps);
    return { exitCode: failure || !stopped ? 1 : 0 };
  } finally {
    for (const name of SIGNALS) process.off(name, handler);
  }
}

async function stopInTime(
  role: RunningRole,
  deps: { readonly log: Log; readonly clock: Clock; readonly stopDeadlineMs: number },
): Promise<boolean> {
  const done = new AbortController();
  const timeUp = deps.clock.sleep(deps.stopDeadlineMs, done.signal).then(
    () => false,
    () => true,
  );
  const stopped = role.stop().then(
    () => true,
    (error: unknown) => {
      deps.log.error({ err: error }, 'stopping failed');
      return false;
    },
  );
  const inTime = await Promise.race([stopped, timeUp]);
  done.abort(new Error('stopped'));
  if (!inTime) deps.log.error('not stopped in time');
  return inTime;
}
