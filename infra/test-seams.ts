// Hooks for crash tests, wired in by settings only: which step of the commit loop the process is in, told to a file that
// survives kill -9, and a kill of itself at the n-th time of a step. The core knows nothing of them.
import { openSync, writeSync } from 'node:fs';
import type { CommitPhase, WorkerTelemetry } from '../shared/ports/worker-telemetry.ts';
import type { RoleSettings } from '../shared/settings.ts';

/** The byte that stands at offset 0 of the phase file during each step. */
export const PHASE_BYTES: Readonly<Record<CommitPhase, string>> = {
  idle: 'i',
  deciding: 'd',
  committing: 'c',
  committed: 'k',
};

type Seams = Pick<RoleSettings, 'testPhaseFile' | 'testCrashAt'>;

/** The telemetry with the asked-for hooks around `phase`; the same object when none is asked for. */
export function withTestSeams(telemetry: WorkerTelemetry, seams: Seams): WorkerTelemetry {
  const hooks = [...phaseFileHook(seams.testPhaseFile), ...crashHook(seams.testCrashAt)];
  if (hooks.length === 0) return telemetry;
  return {
    ...telemetry,
    phase(name) {
      for (const hook of hooks) hook(name);
      telemetry.phase(name);
    },
  };
}

function phaseFileHook(path: string | undefined): readonly ((phase: CommitPhase) => void)[] {
  if (path === undefined) return [];
  const file = openSync(path, 'w');
  return [(phase) => void writeSync(file, PHASE_BYTES[phase], 0, 'latin1')];
}

function crashHook(at: RoleSettings['testCrashAt']): readonly ((phase: CommitPhase) => void)[] {
  if (at === undefined) return [];
  let seen = 0;
  return [
    (phase) => {
      if (phase !== at.phase) return;
      seen += 1;
      if (seen === at.count) process.kill(process.pid, 'SIGKILL');
    },
  ];
}
