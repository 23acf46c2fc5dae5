// The crash test's own scenario: one nats-server, and everything killed or paused in turn.
import { join } from 'node:path';
import { DECK_SIZE, scheduleOf, strike } from './faults.ts';
import type { CrashOptions, Scenario } from './harness.ts';
import { Demands, type Report } from './report.ts';
import { SingleServer } from './single-server.ts';

const GATEWAYS = 2;
const WORKERS = 3;

export const singleServer: Scenario<SingleServer> = {
  fleet: (folder) =>
    Promise.resolve({
      folder,
      servers: new SingleServer(join(folder, 'nats')),
      gateways: GATEWAYS,
      workers: WORKERS,
    }),
  attack: (fleet, canary, { seed }) => ({
    rebalance: true,
    deckSize: DECK_SIZE,
    async *strikes() {
      for (const fault of scheduleOf(seed, { gateways: GATEWAYS, workers: WORKERS })) {
        yield await strike(fleet, canary, fault);
      }
    },
    finish: () => Promise.resolve({ accepted: [], figures: {} }),
  }),
  demands: demandsOf,
};

function demandsOf(report: Report, { form }: CrashOptions): string[] {
  const { workers, kills, faults, killsByPhase, compared, events } = report;
  const demands = new Demands();
  demands.demand(kills.worker > 0, 'kill of a worker');
  demands.demand(kills.gateway > 0, 'kill of a gateway');
  demands.demand((faults['kill nats-server'] ?? 0) > 0, 'kill of a nats-server');
  for (const phase of ['deciding', 'committing', 'committed']) {
    demands.demand((killsByPhase[phase] ?? 0) > 0, `kill of a worker while ${phase}`);
  }
  demands.demand((faults['pause worker'] ?? 0) > 0, 'pause of a worker past take-over');
  demands.demand(report.joinsAndLeaves > 1, 'joining and leaving worker');
  demands.demand(workers.takeOvers > 0, 'take-over of a shard');
  demands.demand(workers.releases > 0, 'release of a shard');
  demands.demand(workers.conflicts > 0, 'conflict');
  demands.demand(compared.largestProfile >= 500, 'profile with 500 events');
  demands.demand(events.distinct < events.accepted, 'repeated event');
  if (form === 'short') return demands.missing;
  demands.demand(workers.fenced > 0, 'fenced commit');
  demands.demand(workers.unknownOutcomes > 0, 'unknown outcome');
  demands.demand(workers.logPurges > 0, 'purge of the log');
  return demands.missing;
}
