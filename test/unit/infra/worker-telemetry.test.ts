// Metrics of a worker, and the hooks of the crash tests around its telemetry.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { describe, expect, it, vi } from 'vitest';
import { withTestSeams } from '../../../infra/test-seams.ts';
import { ActivityMeter } from '../../../infra/worker-activity.ts';
import { createWorkerMetrics, createWorkerTelemetry } from '../../../infra/worker-telemetry.ts';
import type { ActorMessage } from '../../../shared/contract/actor.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import type { MemberReport } from '../../../shared/ports/membership.ts';
import { silentTelemetry } from '../../../shared/ports/worker-telemetry.ts';

const report: MemberReport = {
  id: 'w',
  startedAtMs: 0,
  shards: [0, 1, 2],
  halted: [{ shard: 9, code: 'LOG_REPLACED', reason: 'r' }],
  lag: { 0: 5, 1: 7 },
  lastCommitAtMs: {},
  configVersion: 1,
};

const clock = { ...systemClock, nowMs: () => 500, elapsedMs: () => 0 };
const BATCH = { commitId: 'c1', messages: 1, writes: 25, bytes: 1000, durationMs: 3, shards: 2, records: [] };
const LETTER = { shard: 1, sequence: 2, code: 'POISON_MESSAGE', message: 'm', commitId: 'c1' };

function logMessage(nowMs: number): ActorMessage {
  return { shard: 1, source: 'ingest', sequence: 1, nowMs, payload: Buffer.from('x'), logId: 'log' };
}

describe('worker metrics', () => {
  it('count what happened, by segment, and read the report when asked', async () => {
    const registry = new Registry();
    const metrics = createWorkerMetrics(registry, () => [{ segment: 'shop', report }]);
    const telemetry = createWorkerTelemetry(metrics, {
      segment: 'shop',
      log: pino({ level: 'silent' }),
      activity: new ActivityMeter(clock),
      clock,
    });
    telemetry.committed({
      kind: 'batch',
      ...BATCH,
      messages: 10,
      applied: [logMessage(400), logMessage(20_000)],
    });
    telemetry.counted([
      { kind: 'link_refused', reason: 'limit' },
      { kind: 'profile_added', reason: 'none' },
      { kind: 'link_refused', reason: 'limit' },
    ]);
    telemetry.counted([{ kind: 'profile_added', reason: 'none' }]);
    telemetry.conflict({ key: 'k.email.secret', kind: 'data', commitId: 'c1' });
    telemetry.deadLettered({ ...LETTER, payload: Buffer.from('x') });
    telemetry.residents({ count: 4, bytes: 400, evicted: 1 });
    const text = await registry.metrics();
    for (const line of [
      'stitchwork_worker_messages_total{segment="shop"} 10',
      'stitchwork_identity_facts_total{segment="shop",kind="link_refused",reason="limit"} 2',
      'stitchwork_identity_facts_total{segment="shop",kind="profile_added",reason="none"} 2',
      'stitchwork_worker_conflicts_total{segment="shop",kind="link"} 1',
      'stitchwork_worker_dead_letters_total{segment="shop",code="POISON_MESSAGE"} 1',
      'stitchwork_worker_resident_records{segment="shop"} 4',
      'stitchwork_worker_shards_owned{segment="shop"} 3',
      'stitchwork_worker_shards_halted{segment="shop"} 1',
      'stitchwork_worker_lag_messages{segment="shop"} 12',
      'stitchwork_worker_config_version{segment="shop"} 1',
      // One message was stored 100 ms before the commit; the other by a clock that is ahead counts as 0.
      'stitchwork_worker_event_age_seconds_bucket{le="0.05",segment="shop"} 1',
      'stitchwork_worker_event_age_seconds_bucket{le="0.1",segment="shop"} 2',
      'stitchwork_worker_event_age_seconds_bucket{le="+Inf",segment="shop"} 2',
      'stitchwork_worker_event_age_seconds_sum{segment="shop"} 0.1',
      'stitchwork_worker_event_age_seconds_count{segment="shop"} 2',
    ]) {
      expect(text).toContain(line);
    }
    expect(text).not.toContain('secret');
  });
});

describe('test seams', () => {
  it('are not there unless asked for', () => {
    expect(withTestSeams(silentTelemetry, { testPhaseFile: undefined, testCrashAt: undefined })).toBe(
      silentTelemetry,
    );
  });

  it('keep the step of the commit loop in a file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'stitchwork-seams-'));
    const path = join(folder, 'phase');
    const seen: string[] = [];
    const inner = { ...silentTelemetry, phase: (name: string) => void seen.push(name) };
    const telemetry = withTestSeams(inner, { testPhaseFile: path, testCrashAt: undefined });
    const bytes = (['idle', 'deciding', 'committing', 'committed'] as const).map((phase) => {
      telemetry.phase(phase);
      return readFileSync(path, 'utf8');
    });
    expect(bytes).toEqual(['i', 'd', 'c', 'k']);
    expect(seen).toEqual(['idle', 'deciding', 'committing', 'committed']);
    rmSync(folder, { recursive: true });
  });

  it('kill the process at the n-th time of a step', () => {
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
    const seams = { testPhaseFile: undefined, testCrashAt: { phase: 'committing', count: 2 } };
    const telemetry = withTestSeams(silentTelemetry, seams);
    for (const phase of ['committing', 'committed', 'deciding'] as const) telemetry.phase(phase);
    expect(kill).not.toHaveBeenCalled();
    telemetry.phase('committing');
    expect(kill).toHaveBeenCalledWith(process.pid, 'SIGKILL');
    kill.mockRestore();
  });
});
