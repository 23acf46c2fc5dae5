// What happened in a run, in numbers: shown at the end, and judged by `demandsOf` so that a run without fire cannot pass.
import type { Struck } from './faults.ts';
import type { End } from './fleet.ts';
import type { WorkerTally } from './worker-logs.ts';
import type { WorkloadStats } from './workload.ts';

export interface Report {
  readonly seed: number;
  readonly seconds: number;
  readonly kills: { readonly worker: number; readonly gateway: number; readonly 'nats-server': number };
  /** Steps of the commit loop in which kill -9 hit a worker. */
  readonly killsByPhase: Readonly<Record<string, number>>;
  readonly pauses: number;
  readonly joinsAndLeaves: number;
  readonly workers: Omit<WorkerTally, 'errors'>;
  readonly events: { readonly accepted: number; readonly distinct: number; readonly perSecond: number };
  readonly requests: {
    readonly count: number;
    readonly attempts: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
  };
  readonly refusals: Readonly<Record<string, number>>;
  readonly compared: {
    readonly profiles: number;
    readonly keys: number;
    readonly activations: number;
    readonly audit: number;
    readonly links: number;
    readonly largestProfile: number;
  };
  readonly recoveryMs: Readonly<Record<string, readonly number[]>>;
  readonly settledMs: number;
}

export function killsOf(ends: readonly End[], struck: readonly Struck[]): Report['kills'] {
  const killed = ends.filter(({ how }) => how === 'killed' || how === 'crash-at');
  return {
    worker: killed.filter(({ slot }) => !slot.startsWith('gateway')).length,
    gateway: killed.filter(({ slot }) => slot.startsWith('gateway')).length,
    'nats-server': struck.filter(({ fault }) => fault.kind === 'kill nats-server').length,
  };
}

export function killsByPhase(ends: readonly End[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { how, slot, phase } of ends) {
    if ((how !== 'killed' && how !== 'crash-at') || slot.startsWith('gateway')) continue;
    counts[phase] = (counts[phase] ?? 0) + 1;
  }
  return counts;
}

export function recoveryOf(struck: readonly Struck[]): Record<string, number[]> {
  const times: Record<string, number[]> = {};
  for (const { fault, recoveryMs } of struck) {
    if (recoveryMs === undefined) continue;
    times[fault.kind] = [...(times[fault.kind] ?? []), Math.round(recoveryMs)];
  }
  return times;
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

export function requestsOf(stats: WorkloadStats): Report['requests'] {
  const sorted = [...stats.latencyMs].sort((a, b) => a - b);
  return {
    count: stats.requests,
    attempts: stats.attempts,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
  };
}

/** What a run must have seen to count. */
export function demandsOf(report: Report, form: 'short' | 'long'): string[] {
  const missing: string[] = [];
  const demand = (holds: boolean, what: string) => {
    if (!holds) missing.push(`the run saw no ${what}: it proves nothing about it`);
  };
  for (const [target, count] of Object.entries(report.kills)) demand(count > 0, `kill of a ${target}`);
  for (const phase of ['deciding', 'committing', 'committed']) {
    demand((report.killsByPhase[phase] ?? 0) > 0, `kill of a worker while ${phase}`);
  }
  demand(report.pauses > 0, 'pause of a worker past take-over');
  demand(report.joinsAndLeaves > 1, 'joining and leaving worker');
  demand(report.workers.takeOvers > 0, 'take-over of a shard');
  demand(report.workers.releases > 0, 'release of a shard');
  demand(report.workers.conflicts > 0, 'conflict');
  demand(report.compared.largestProfile >= 500, 'profile with 500 events');
  demand(report.events.distinct < report.events.accepted, 'repeated event');
  if (form === 'short') return missing;
  demand(report.workers.fenced > 0, 'fenced commit');
  demand(report.workers.unknownOutcomes > 0, 'unknown outcome');
  demand(report.workers.logPurges > 0, 'purge of the log');
  return missing;
}
