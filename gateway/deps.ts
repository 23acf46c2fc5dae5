// What a gateway is given: the ports of each parent segment that it serves, and the doors to time and chance.
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyBaseLogger } from 'fastify';
import type { Registry } from 'prom-client';
import type { CurrentRuns } from '../actors/profile/join-batch.ts';
import type { SegmentConfig } from '../shared/contract/config/segment-config.ts';
import type { SegmentNames } from '../shared/contract/names.ts';
import type { Clock } from '../shared/kernel/clock.ts';
import type { Random } from '../shared/kernel/random.ts';
import type { AuditLog } from '../shared/ports/audit-log.ts';
import type { ConfigStore } from '../shared/ports/config-store.ts';
import type { EventHistory } from '../shared/ports/event-history.ts';
import type { EventLogAppender, EventLogReader } from '../shared/ports/event-log.ts';
import type { Membership } from '../shared/ports/membership.ts';
import type { OutboxCopies } from '../shared/ports/outbox-copies.ts';
import type { RecentEvents } from '../shared/ports/recent-events.ts';
import type { RecordStore } from '../shared/ports/record-store.ts';
import type { ReplyBoxes } from '../shared/ports/replies.ts';

export interface GatewaySegment {
  /** The config in force now. */
  readonly config: () => SegmentConfig;
  readonly configVersion: () => number;
  /** Written when somebody with an admin key applies a config. */
  readonly configs: ConfigStore;
  readonly recentEvents: RecentEvents;
  /** Closed by the gateway, after the last request in flight. */
  readonly appender: EventLogAppender;
  readonly log: Pick<EventLogReader, 'state' | 'lastSequenceOf' | 'countAfter' | 'messageAt' | 'open'>;
  /** Archive and log as one: as far back as events are kept. */
  readonly history: EventHistory;
  /** Written for jobs alone: profiles are the workers'. */
  readonly store: Pick<RecordStore, 'read' | 'commit'>;
  readonly membership: Pick<Membership, 'members' | 'probe'>;
  readonly copies: Pick<OutboxCopies, 'states'>;
  readonly audit: AuditLog;
  /** Activations as they were decided, and attempts to deliver them. */
  readonly decisions: AuditLog;
  readonly deliveries: AuditLog;
  /** Runs of snapshot tables that are in force; their rows are read through the store. */
  readonly runs: () => CurrentRuns;
  readonly replyBoxes: ReplyBoxes;
  readonly names: SegmentNames;
  readonly shards: number;
}

/** Traces of requests that bring events. */
export interface IngestTracing {
  /** Undefined when the request is not traced. */
  begin(headers: IncomingHttpHeaders): IngestTrace | undefined;
}

export interface IngestTrace {
  /** Goes with the events. */
  readonly traceparent: string;
  /** The append begins; the result is called with its outcome. */
  append(segment: string, messages: number): (outcome: string) => void;
  end(status: number): void;
}

export interface GatewayDeps {
  readonly segments: readonly GatewaySegment[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: FastifyBaseLogger;
  readonly registry: Registry;
  readonly tracing?: IngestTracing;
  /** Values of the environment that hold tokens; without it no token opens anything. */
  readonly secretOf?: (name: string) => string | undefined;
}
