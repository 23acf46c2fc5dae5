// Makes one parent segment ready to run on a NATS server: its streams and buckets, the check that nothing fell back, its
// config in the config store, and the config in force as a live value. Every role does all of it when it starts.
import { createProfileActor } from '../actors/profile/actor.ts';
import type { CurrentRuns } from '../actors/profile/join-batch.ts';
import type { Actor } from '../shared/contract/actor.ts';
import type { JourneyConfig, SegmentConfig } from '../shared/contract/config/segment-config.ts';
import { type SegmentNames, segmentNames } from '../shared/contract/names.ts';
import { systemClock } from '../shared/kernel/clock.ts';
import { StitchworkError } from '../shared/kernel/errors.ts';
import { createConfigStore } from '../shared/nats/config-store.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { createOutboxCopies } from '../shared/nats/outbox-copies.ts';
import { createSnapshotRuns } from '../shared/nats/snapshots.ts';
import { describeTopology, ensureTopology, readShadowOf, readShards } from '../shared/nats/topology.ts';
import type { ConfigStore } from '../shared/ports/config-store.ts';
import type { OutboxCopies } from '../shared/ports/outbox-copies.ts';
import type { TopologySettings } from '../shared/settings.ts';
import { configInForce } from './config-in-force.ts';
import { followConfig } from './follow-config.ts';
import { followSnapshots } from './follow-snapshots.ts';
import { formerJourneys } from './former-journeys.ts';
import type { Log } from './log.ts';
import type { SegmentSource } from './segment-files.ts';

export interface DeployedSegment {
  readonly names: SegmentNames;
  readonly shards: number;
  readonly configs: ConfigStore;
  config(): SegmentConfig;
  configVersion(): number;
  /** Looks for a newer config and newer runs now, and takes them over. Never throws: what is out of reach is found later. */
  refresh(): Promise<void>;
  /** Runs of snapshot tables that are in force. */
  runs(): CurrentRuns;
  /** Journeys of configs before the one in force: whoever is inside goes on by the one by which it came in. */
  formerJourneys(): readonly JourneyConfig[];
  /** Called with each newer config that can run, and each run that comes into force, until `close`. */
  onConfig(callback: () => void): void;
  close(): void;
}

/** A segment by its config file, or by its name when its config is in the store already. */
export type SegmentRequest =
  | { readonly kind: 'file'; readonly source: SegmentSource }
  | { readonly kind: 'stored'; readonly segment: string };

/** Throws TOPOLOGY_MISMATCH, UNKNOWN_SEGMENT, INVALID_CONFIG, LOG_UNAVAILABLE or STORE_UNAVAILABLE. */
export async function deploySegment(
  door: NatsDoor,
  request: SegmentRequest,
  topology: TopologySettings,
  log: Log,
  options: { readonly shadowOf?: string } = {},
): Promise<DeployedSegment> {
  const names = segmentNames(request.kind === 'file' ? request.source.config.segment : request.segment);
  const shadowOf = await readShadowOf(door, names);
  if (shadowOf !== undefined && options.shadowOf === undefined) {
    throw new StitchworkError(
      'TOPOLOGY_MISMATCH',
      `segment ${names.segment} is a shadow of ${shadowOf}: nothing runs it but stitchwork replay --into. Remove it with stitchwork segment rm ${names.segment}`,
    );
  }
  const shards = await ensureStreams(door, names, { ...topology, ...options }, log);
  await assertNothingFellBack(createOutboxCopies(door, names), names);
  const configs = createConfigStore(door, names);
  const inForce = await configInForce(configs, request, { names, log, clock: systemClock });
  const followed = followConfig(door, configs, inForce, log.child({ segment: names.segment }));
  const former = await formerJourneys(
    configs,
    followed.configVersion(),
    log.child({ segment: names.segment }),
  );
  const snapshots = createSnapshotRuns(door, names);
  const rows = await followSnapshots(door, snapshots, log.child({ segment: names.segment }));
  return {
    names,
    shards,
    configs,
    ...followed,
    runs: rows.runs,
    formerJourneys: former.journeys,
    async refresh() {
      await Promise.all([followed.refresh(), rows.refresh()]);
    },
    onConfig(callback) {
      followed.onConfig(() => former.take(followed.configVersion()).then(callback));
      rows.onRuns(callback);
    },
    close() {
      rows.close();
      followed.close();
    },
  };
}

/** The actor of a segment's config in force. */
export function actorOf(segment: DeployedSegment): Actor {
  return createProfileActor(segment.config(), {
    shards: segment.shards,
    configVersion: segment.configVersion(),
    runs: segment.runs(),
    formerJourneys: segment.formerJourneys(),
  });
}

async function ensureStreams(
  door: NatsDoor,
  names: SegmentNames,
  topology: TopologySettings & { readonly shadowOf?: string },
  log: Log,
): Promise<number> {
  const existing = await readShards(door, names);
  const shards = existing ?? topology.shards;
  if (shards !== topology.shards) {
    log.warn(
      { segment: names.segment, shards, asked: topology.shards },
      'shards are fixed for the life of a segment',
    );
  }
  const done = await ensureTopology(door, describeTopology(names, { ...topology, shards }));
  if (done.length > 0) log.info({ segment: names.segment, done }, 'topology ensured');
  return shards;
}

/**
 * The server's copies count in sequences of the bucket. When the bucket fell back (a restored backup, power loss without
 * sync), sequences are used again and the copies would skip them silently: nothing may run (G7).
 */
export async function assertNothingFellBack(
  copies: Pick<OutboxCopies, 'states' | 'originSequence'>,
  names: SegmentNames,
): Promise<void> {
  const states = await copies.states();
  const origin = await copies.originSequence(Math.max(...states.map(({ copiedTo }) => copiedTo)));
  const ahead = states.filter((state) => state.copiedTo > origin);
  if (ahead.length === 0) return;
  const list = ahead.map((state) => `${state.name} has copied up to ${state.copiedTo}`).join(', ');
  throw new StitchworkError(
    'TOPOLOGY_MISMATCH',
    `${names.profilesStream} ends at ${origin}, but ${list}: it fell back to an older state. Restore all streams of the segment from one backup`,
  );
}
