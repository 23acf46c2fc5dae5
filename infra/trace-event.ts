// Follows one event through a segment by its message id: log, shard, commit, activations, attempts, each with its time. Looks
// at a bounded number of entries of each log, from the newest back.
import { readEnvelope } from '../actors/profile/parse-message.ts';
import { type FoundActivation, searchActivations } from '../gateway/activations/search-activations.ts';
import { type FoundEntry, searchAudit } from '../gateway/audit/search-audit.ts';
import type { LogEnvelope } from '../shared/contract/event.ts';
import { recordKeys, type SegmentNames } from '../shared/contract/names.ts';
import type { DeadLetter } from '../shared/contract/outbox.ts';
import { decodeShardRecord } from '../shared/contract/shard-record.ts';
import type { Clock } from '../shared/kernel/clock.ts';
import { createAuditLog, createLogBack } from '../shared/nats/audit-log.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { getMessage } from '../shared/nats/jetstream-api.ts';
import { logMessage } from '../shared/nats/log-state.ts';
import { createRecordStore } from '../shared/nats/record-store.ts';
import { readStream } from '../shared/nats/stream-reader.ts';

export interface LoggedEvent {
  readonly sequence: number;
  readonly shard: number;
  /** When the log had it; the gateway answered after that. */
  readonly timeMs: number;
  readonly envelope: Extract<LogEnvelope, { type: 'event' }>;
}

export interface EventTrace {
  readonly event: LoggedEvent;
  /** Where the shard is: at or beyond the event's sequence, and it is applied. */
  readonly checkpoint: number;
  readonly applied: boolean;
  readonly dead: DeadLetter | undefined;
  readonly audit: readonly FoundEntry[];
  /** Decisions and attempts, oldest first. */
  readonly activations: readonly FoundActivation[];
  /** False: entries of a log were not looked at, since there are too many. */
  readonly complete: boolean;
}

export interface TraceOptions {
  readonly clock: Clock;
  /** Entries of each log that are looked at, at most. */
  readonly entries: number;
  readonly signal: AbortSignal;
}

const PAGE = { messages: 1000, bytes: 4 * 1024 * 1024 } as const;
const SEARCH_MS = 60_000;
const FOUND_MAX = 1000;
/** Clocks of the servers of a cluster differ. */
const CLOCKS_MS = 5000;

/** Undefined: no such event is in what was looked at. Throws LOG_UNAVAILABLE or STORE_UNAVAILABLE. */
export async function traceEvent(
  door: NatsDoor,
  names: SegmentNames,
  messageId: string,
  options: TraceOptions,
): Promise<EventTrace | undefined> {
  const event = await findEvent(door, names, messageId, options);
  if (!event) return undefined;
  const [checkpoint, dead, audit, told] = await Promise.all([
    checkpointOf(door, names, event.shard),
    deadLetterOf(door, names, event),
    auditOf(door, names, event, options),
    activationsOf(door, names, event, options),
  ]);
  return {
    event,
    checkpoint,
    applied: checkpoint >= event.sequence,
    dead,
    audit: audit.entries.filter(
      (found) => found.entry.kind !== 'activation_delivered' && found.entry.kind !== 'activation_failed',
    ),
    activations: [...told.entries].reverse(),
    complete: audit.next === undefined && told.next === undefined,
  };
}

/** The newest event of the id. */
async function findEvent(
  door: NatsDoor,
  names: SegmentNames,
  messageId: string,
  { entries, signal }: TraceOptions,
): Promise<LoggedEvent | undefined> {
  const log = createLogBack(door, { stream: names.eventsStream, filter: names.eventsFilter });
  let before = await log.end();
  for (let looked = 0; looked < entries; ) {
    signal.throwIfAborted();
    const page = await log.readBack(before, PAGE);
    for (const { payload, sequence, timeMs } of page.messages) {
      const envelope = readEnvelope(payload);
      if (envelope?.type !== 'event' || envelope.event.messageId !== messageId) continue;
      const stored = await getMessage(door, names.eventsStream, { seq: sequence }, 'LOG_UNAVAILABLE');
      const { shard } = logMessage(
        names,
        stored?.subject ?? names.eventSubject(0, 'ingest'),
        sequence,
        timeMs,
        payload,
      );
      return { sequence, shard, timeMs, envelope };
    }
    looked += page.messages.length;
    if (page.isLast) return undefined;
    before = page.from;
  }
  return undefined;
}

async function checkpointOf(door: NatsDoor, names: SegmentNames, shard: number): Promise<number> {
  const key = recordKeys.shard(shard);
  const value = (await createRecordStore(door, names).read([key], 'leader')).get(key)?.value;
  return value ? decodeShardRecord(value).seq : 0;
}

async function deadLetterOf(
  door: NatsDoor,
  names: SegmentNames,
  { shard, sequence }: LoggedEvent,
): Promise<DeadLetter | undefined> {
  for await (const { payload } of readStream(door, names.deadStream, { filter: names.deadSubject(shard) })) {
    const letter = JSON.parse(Buffer.from(payload).toString('utf8')) as DeadLetter;
    if (letter.sequence === sequence) return letter;
  }
  return undefined;
}

async function auditOf(
  door: NatsDoor,
  names: SegmentNames,
  { envelope, timeMs }: LoggedEvent,
  options: TraceOptions,
) {
  const log = createAuditLog(door, names);
  const filter = { messageId: envelope.event.messageId };
  const search = { filter, sinceMs: timeMs - CLOCKS_MS, before: await log.end(), limit: FOUND_MAX };
  return searchAudit(log, search, { clock: options.clock, ms: SEARCH_MS, entries: options.entries });
}

async function activationsOf(
  door: NatsDoor,
  names: SegmentNames,
  { envelope, timeMs }: LoggedEvent,
  { clock, entries }: TraceOptions,
) {
  const decisions = createLogBack(door, { stream: names.activationsStream, filter: names.activationsFilter });
  const attempts = createLogBack(door, { stream: names.deliveriesStream, filter: names.attemptsFilter });
  const before = { decisions: await decisions.end(), attempts: await attempts.end() };
  const { messageId } = envelope.event;
  const any = {
    profileIds: undefined,
    id: undefined,
    name: undefined,
    destination: undefined,
    kinds: undefined,
  };
  return searchActivations(
    { decisions, attempts },
    {
      filter: { ...any, messageId },
      sinceMs: timeMs - CLOCKS_MS,
      untilMs: undefined,
      before,
      limit: FOUND_MAX,
    },
    { clock, ms: SEARCH_MS, entries },
  );
}
