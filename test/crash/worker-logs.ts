// What the workers said about themselves, read from their logs: they outlive kill -9.
import { existsSync, readFileSync } from 'node:fs';
import type { Fleet } from './fleet.ts';

export interface WorkerTally {
  conflicts: number;
  fenced: number;
  unknownOutcomes: number;
  resolved: Record<string, number>;
  /** By code. */
  deadLetters: Record<string, number>;
  commits: number;
  messages: number;
  slowestCommitMs: number;
  refused: number;
  busy: number;
  /** Refusals because a record was in flight: only a stream with several copies says so. */
  inFlight: number;
  halted: number;
  claims: number;
  releases: number;
  /** Claims of a shard whose last owner had not released it. */
  takeOvers: number;
  copiesRestarted: number;
  logPurges: number;
  /** Lines of level error or above. */
  readonly errors: string[];
}

interface Line {
  readonly level?: number;
  readonly msg?: string;
  readonly time?: string;
  readonly reason?: string;
  readonly shard?: number;
  readonly epoch?: number;
  readonly outcome?: string;
  readonly code?: string;
  readonly messages?: number;
  readonly durationMs?: number;
}

const ERROR_LEVEL = 50;
const ERRORS_KEPT = 20;
/** The server's code: another write of the same record has been taken in and is not decided. */
const IN_FLIGHT = '10164';

/** Reads the logs of all lives of all workers. */
export function tallyLogs(fleet: Fleet): WorkerTally {
  const tally = emptyTally();
  const claims = new Map<string, boolean>();
  for (const slot of fleet.slots) {
    for (let life = 1; existsSync(slot.logFile(life)); life++) {
      const held = new Map<number, number>();
      for (const line of linesOf(slot.logFile(life))) {
        if ((line.level ?? 0) >= ERROR_LEVEL && tally.errors.length < ERRORS_KEPT) {
          tally.errors.push(`${slot.name}.${life}: ${JSON.stringify(line).slice(0, 1000)}`);
        }
        if (slot.role === 'worker') count(tally, line, held, claims);
      }
    }
  }
  for (const [claim, released] of claims) {
    const [shard, epoch] = claim.split('.').map(Number) as [number, number];
    if (!released && claims.has(`${shard}.${epoch + 1}`)) tally.takeOvers++;
  }
  return tally;
}

/** When each commit of any worker was acknowledged, ms since the epoch, in order. */
export function commitTimes(fleet: Fleet): readonly number[] {
  const times: number[] = [];
  for (const slot of fleet.workers) {
    for (let life = 1; existsSync(slot.logFile(life)); life++) {
      for (const { msg, time } of linesOf(slot.logFile(life))) {
        if (msg === 'committed' && time !== undefined) times.push(Date.parse(time));
      }
    }
  }
  return times.sort((a, b) => a - b);
}

function emptyTally(): WorkerTally {
  return {
    conflicts: 0,
    fenced: 0,
    unknownOutcomes: 0,
    resolved: {},
    deadLetters: {},
    commits: 0,
    messages: 0,
    slowestCommitMs: 0,
    refused: 0,
    busy: 0,
    inFlight: 0,
    halted: 0,
    claims: 0,
    releases: 0,
    takeOvers: 0,
    copiesRestarted: 0,
    logPurges: 0,
    errors: [],
  };
}

/** `held` is the epoch of each shard that this life has claimed; `claims` says of each claim whether it was released. */
function count(
  tally: WorkerTally,
  line: Line,
  held: Map<number, number>,
  claims: Map<string, boolean>,
): void {
  switch (line.msg) {
    case 'conflict':
      tally.conflicts++;
      return;
    case 'shard lost to another owner':
      tally.fenced++;
      return;
    case 'commit without an answer':
      tally.unknownOutcomes++;
      return;
    case 'unknown outcome resolved':
      tally.resolved[line.outcome ?? ''] = (tally.resolved[line.outcome ?? ''] ?? 0) + 1;
      return;
    case 'dead letter':
      tally.deadLetters[line.code ?? ''] = (tally.deadLetters[line.code ?? ''] ?? 0) + 1;
      return;
    case 'committed':
      tally.commits++;
      tally.messages += line.messages ?? 0;
      tally.slowestCommitMs = Math.max(tally.slowestCommitMs, line.durationMs ?? 0);
      return;
    case 'commit refused':
      tally.refused++;
      return;
    case 'store busy':
      tally.busy++;
      if (line.reason?.startsWith(IN_FLIGHT)) tally.inFlight++;
      return;
    case 'shard stopped with an alarm':
      tally.halted++;
      return;
    case 'copy set up anew':
      tally.copiesRestarted++;
      return;
    case 'event log purged':
      tally.logPurges++;
      return;
    case 'shard claimed':
      tally.claims++;
      held.set(line.shard!, line.epoch!);
      claims.set(`${line.shard}.${line.epoch}`, false);
      return;
    case 'shard released':
      tally.releases++;
      claims.set(`${line.shard}.${held.get(line.shard!)}`, true);
      return;
  }
}

function* linesOf(file: string): Generator<Line> {
  for (const text of readFileSync(file, 'utf8').split('\n')) {
    if (!text.startsWith('{')) continue;
    try {
      yield JSON.parse(text) as Line;
    } catch {
      // A line cut short by kill -9.
    }
  }
}
