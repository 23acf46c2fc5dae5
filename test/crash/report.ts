// What happened in a run, in numbers: shown at the end, and judged so that a run without fire cannot pass.
import type { End } from './fleet.ts';
import type { WorkerTally } from './worker-logs.ts';
import type { WorkloadStats } from './workload.ts';

/** A fault that was struck. */
export interface Struck {
  readonly fault: { readonly kind: string };
  /** From the fault (of a server: from its restart) until every shard has applied an event that came after it. */
  readonly recoveryMs: number | undefined;
  /** What its victim was about. */
  readonly during?: string;
}

export interface Report {
  readonly seed: number;
  readonly seconds: number;
  readonly kills: { readonly worker: number; readonly gateway: number; readonly activator: number };
  /** By kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** Steps of the commit loop in which kill -9 hit a worker. */
  readonly killsByPhase: Readonly<Record<string, number>>;
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
  /** Kills of activators, and what came of what was to be delivered. */
  readonly deliveries?: Readonly<Record<string, unknown>>;
  /** What the scenario has measured. */
  readonly figures: Readonly<Record<string, unknown>>;
}

export function killsOf(ends: readonly End[]): Report['kills'] {
  const killed = ends.filter(({ how }) => how === 'killed' || how === 'crash-at');
  return {
    worker: killed.filter(({ slot }) => !/^(gateway|activator)/.test(slot)).length,
    gateway: killed.filter(({ slot }) => slot.startsWith('gateway')).length,
    activator: killed.filter(({ slot }) => slot.startsWith('activator')).length,
  };
}

export function faultsOf(struck: readonly Struck[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { fault } of struck) counts[fault.kind] = (counts[fault.kind] ?? 0) + 1;
  return counts;
}

/** How often faults of a kind hit what their victim was about. */
export function duringOf(struck: readonly Struck[], kind: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { fault, during } of struck)
    if (fault.kind === kind && during !== undefined) counts[during] = (counts[during] ?? 0) + 1;
  return counts;
}

export function killsByPhase(ends: readonly End[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { how, slot, phase } of ends) {
    if ((how !== 'killed' && how !== 'crash-at') || /^(gateway|activator)/.test(slot)) continue;
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

/** Collects what a run has not seen. */
export class Demands {
  readonly missing: string[] = [];

  demand(holds: boolean, what: string): void {
    if (!holds) this.missing.push(`the run saw no ${what}: it proves nothing about it`);
  }
}
