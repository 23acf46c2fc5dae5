// The activator role: carries activations of each segment to its destinations. As many processes as wanted share the work.
import { Activator } from '../actors/activation/activator.ts';
import { createAddressRule } from '../actors/activation/address-rule.ts';
import type { DestinationDeps } from '../actors/activation/destination.ts';
import { openDestination } from '../actors/activation/open-destination.ts';
import { systemClock } from '../shared/kernel/clock.ts';
import { systemRandom } from '../shared/kernel/random.ts';
import { createActivationQueue } from '../shared/nats/activation-queue.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { createDeliveryLog } from '../shared/nats/delivery-log.ts';
import { createRecordStore } from '../shared/nats/record-store.ts';
import { createSubjectPublisher } from '../shared/nats/subject-publisher.ts';
import type { RoleSettings } from '../shared/settings.ts';
import { owning } from './belongings.ts';
import {
  createDeliveryMetrics,
  createDeliveryTelemetry,
  type DeliveryMetrics,
} from './delivery-telemetry.ts';
import type { DeployedSegment } from './deploy.ts';
import { openSegments, processId, type RoleDeps, serveAlone } from './open-segments.ts';
import type { RunningRole } from './role.ts';

export interface RunningActivator extends RunningRole {
  readonly id: string;
  /** Where /metrics and /health are, when asked for. */
  readonly url: string | undefined;
  readonly segments: readonly string[];
}

/**
 * Stopping ends the attempts under way, within a while. `environment` has the secrets that destinations name. Throws
 * INVALID_SETTINGS, and what opening segments throws.
 */
export function runActivator(
  settings: RoleSettings,
  deps: RoleDeps,
  environment: DestinationDeps['environment'] = process.env,
): Promise<RunningActivator> {
  const addresses = createAddressRule(settings.allowNetworks);
  return owning(async (belongings) => {
    const id = processId();
    const { door, segments } = await openSegments(settings, deps, 'activator', belongings);
    const metrics = createDeliveryMetrics(deps.registry);
    for (const segment of segments) {
      const activator = segmentActivator({ deps, door, metrics, id, addresses, environment }, segment);
      segment.onConfig(() => activator.follow());
      activator.follow();
      belongings.own(() => activator.stop());
    }
    const url = await serveAlone(settings, deps, door, belongings);
    const names = segments.map((segment) => segment.names.segment);
    deps.log.info({ id, url, segments: names }, 'activator ready');
    return { id, url, segments: names, failed: new Promise<never>(() => {}), stop: () => belongings.close() };
  });
}

interface ActivatorParts {
  readonly deps: RoleDeps;
  readonly door: NatsDoor;
  readonly metrics: DeliveryMetrics;
  readonly id: string;
  readonly addresses: DestinationDeps['addresses'];
  readonly environment: DestinationDeps['environment'];
}

function segmentActivator(
  { deps, door, metrics, id, addresses, environment }: ActivatorParts,
  { names, config }: DeployedSegment,
): Activator {
  const log = deps.log.child({ segment: names.segment });
  const queue = createActivationQueue(door, names);
  const destinationDeps: DestinationDeps = {
    clock: systemClock,
    environment,
    addresses,
    publisher: createSubjectPublisher(door),
    writeLog: (destination, activation) => log.info({ destination, activation }, 'activation'),
  };
  metrics.watch(names.segment, () => config().destinations.map(({ name }) => name), queue);
  return new Activator({
    queue,
    log: createDeliveryLog(door, names, createRecordStore(door, names)),
    clock: systemClock,
    random: systemRandom,
    telemetry: createDeliveryTelemetry(metrics, names.segment, log),
    segment: names.segment,
    owner: id,
    destinations: () => config().destinations,
    open: (destination) => openDestination(destination, destinationDeps),
  });
}
