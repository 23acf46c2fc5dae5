// The crash test's own scenario: one nats-server, and everything killed or paused in turn.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DECK_SIZE, scheduleOf, strike } from './faults.ts';
import { CONFIG } from './fleet.ts';
import type { CrashOptions, Scenario } from './harness.ts';
import { RECEIVER_FAULTS, Receiver } from './receiver.ts';
import { Demands, type Report } from './report.ts';
import { SingleServer } from './single-server.ts';

const GATEWAYS = 2;
const WORKERS = 3;
const ACTIVATORS = 2;
const COUNTS = { gateways: GATEWAYS, workers: WORKERS, activators: ACTIVATORS };

export const singleServer: Scenario<SingleServer> = {
  async fleet(folder) {
    const receiver = new Receiver();
    await receiver.start();
    const configFile = join(folder, 'segment.yaml');
    const deliveries = readFileSync(join(import.meta.dirname, 'deliveries.yaml'), 'utf8');
    writeFileSync(
      configFile,
      `${readFileSync(CONFIG, 'utf8')}${deliveries.replace('RECEIVER', receiver.url)}`,
    );
    return {
      ...{ folder, configFile, receiver, servers: new SingleServer(join(folder, 'nats')) },
      ...{ gateways: GATEWAYS, workers: WORKERS, activators: ACTIVATORS },
    };
  },
  attack(fleet, canary, { seed, receiverDownMs }) {
    let isDown = false;
    let outage: Promise<void> | undefined;
    return {
      rebalance: true,
      deckSize: DECK_SIZE,
      async *strikes() {
        for (const fault of scheduleOf(seed, COUNTS)) {
          if (isDown && fault.kind.startsWith('receiver')) continue;
          if (fault.kind === 'receiver down' && receiverDownMs !== undefined && !outage) {
            isDown = true;
            outage = fleet.receiver!.misbehave('down', receiverDownMs).finally(() => {
              isDown = false;
            });
            yield { fault, recoveryMs: undefined };
          } else yield await strike(fleet, canary, fault);
        }
      },
      async finish() {
        await outage;
        return { accepted: [], figures: outage ? { receiverDownMs } : {} };
      },
    };
  },
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
  demands.demand(kills.activator > 0, 'kill of an activator');
  for (const fault of RECEIVER_FAULTS)
    demands.demand((faults[`receiver ${fault}`] ?? 0) > 0, `receiver that ${fault}`);
  if (form === 'short') return demands.missing;
  const { activatorKills } = report.deliveries as { activatorKills: Readonly<Record<string, number>> };
  demands.demand((activatorKills.delivering ?? 0) > 0, 'kill of an activator while it delivered');
  demands.demand(workers.fenced > 0, 'fenced commit');
  demands.demand(workers.unknownOutcomes > 0, 'unknown outcome');
  demands.demand(workers.logPurges > 0, 'purge of the log');
  return demands.missing;
}
