// A shadow segment: a segment of its own streams, run by the process that replays into it and by no other. Its clock is the
// events': alarm clocks are kept and rung when the replay says so.
import { Registry } from 'prom-client';
import { routingKeyFor } from '../../actors/identity/keys.ts';
import { inShadow } from '../../actors/profile/shadow.ts';
import { createWorker } from '../../actors/runtime/worker.ts';
import type { LogEnvelope, Replayable, ShadowMark } from '../../shared/contract/event.ts';
import { ROUTING_KEY_OF_LINKS, shardOf } from '../../shared/contract/routing.ts';
import { systemClock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { randomToken, systemRandom } from '../../shared/kernel/random.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { createMembership } from '../../shared/nats/membership.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { createReplies } from '../../shared/nats/replies.ts';
import { readBatches } from '../../shared/nats/stream-batches.ts';
import { awaitApplied } from '../../shared/ports/await-applied.ts';
import type { LogAppend } from '../../shared/ports/event-log.ts';
import type { TopologySettings } from '../../shared/settings.ts';
import { actorOf, type DeployedSegment, deploySegment } from '../deploy.ts';
import type { Log } from '../log.ts';
import type { SegmentSource } from '../segment-files.ts';
import { ActivityMeter } from '../worker-activity.ts';
import { createWorkerMetrics, createWorkerTelemetry } from '../worker-telemetry.ts';

const APPLIED_TIMEOUT_MS = 600_000;
const RETRY_MS = 250;

export interface ReplayedEvent {
  readonly said: Replayable;
  readonly mark: ShadowMark;
}

export interface ShadowSegment {
  readonly segment: DeployedSegment;
  /** Of the last message that was appended; undefined: none was. */
  lastMark(): Promise<ShadowMark | undefined>;
  append(events: readonly ReplayedEvent[], signal: AbortSignal): Promise<void>;
  /** Rings every alarm that is due by then, earliest first, also those that are set on the way. Gives how many rang. */
  ringUntil(nowMs: number, signal: AbortSignal): Promise<number>;
  applied(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

/** Makes the segment where there is none, and runs it. Throws what `deploySegment` throws. */
export async function openShadow(
  door: NatsDoor,
  source: SegmentSource,
  shadowOf: string,
  topology: TopologySettings,
  log: Log,
): Promise<ShadowSegment> {
  const segment = await deploySegment(door, { kind: 'file', source }, topology, log, { shadowOf });
  const { names, shards } = segment;
  const reader = createEventLogReader(door, names, shards);
  const store = createRecordStore(door, names, { silentAlarms: true });
  const appender = createEventLogAppender(door, names, { clock: systemClock, random: systemRandom });
  const activity = new ActivityMeter(systemClock);
  const metrics = createWorkerMetrics(new Registry(), () => []);
  const telemetry = createWorkerTelemetry(metrics, {
    segment: names.segment,
    log,
    activity,
    clock: systemClock,
  });
  const worker = createWorker(
    {
      store,
      log: reader,
      membership: createMembership(door, names, {}),
      clock: systemClock,
      random: systemRandom,
      replies: createReplies(door),
      telemetry,
      actor: inShadow(actorOf(segment)),
    },
    { segment: names.segment, workerId: `shadow-${randomToken(systemRandom, 8)}`, shards },
  );
  await worker.start();

  const send = async (messages: readonly LogAppend[], signal: AbortSignal): Promise<void> => {
    for (;;) {
      signal.throwIfAborted();
      const outcome = await appender.append(messages);
      if (outcome.kind === 'stored') return;
      if (outcome.kind === 'full')
        throw new StitchworkError('LOG_FULL', `the log of ${names.segment} is full: give --events-max-bytes`);
      // What was stored although no answer came is told apart by message id.
      await systemClock.sleep(RETRY_MS, signal);
    }
  };

  const applied = async (signal: AbortSignal): Promise<void> => {
    const { lastSequence } = await reader.state();
    const options = { clock: systemClock, signal, timeoutMs: APPLIED_TIMEOUT_MS };
    await awaitApplied({ log: reader, store, shards }, lastSequence, options);
  };

  return {
    segment,
    applied,
    async lastMark() {
      const { firstSequence, lastSequence } = await reader.state();
      for (let at = lastSequence; at >= firstSequence; at--) {
        const message = await reader.messageAt(at);
        const isReplayed = message?.source === 'ingest' || message?.source === 'batch';
        const mark = isReplayed ? markOf(message.payload) : undefined;
        if (mark) return mark;
      }
      return undefined;
    },
    append(events, signal) {
      const config = segment.config();
      const messages = events.map(({ said, mark }): LogAppend => {
        const isLink = said.type === 'link';
        const envelope: LogEnvelope = isLink
          ? { ...said, shadow: mark }
          : { v: 1, type: 'event', event: said.event, shadow: mark };
        const routedBy = isLink ? ROUTING_KEY_OF_LINKS : routingKeyFor(config, said.event);
        const payload = Buffer.from(JSON.stringify(envelope));
        return { shard: shardOf(routedBy, shards), source: isLink ? 'batch' : 'ingest', payload };
      });
      return send(messages, signal);
    },
    async ringUntil(nowMs, signal) {
      const rung = new Set<string>();
      for (;;) {
        await applied(signal);
        const due = await dueAlarms(door, segment, nowMs, rung);
        if (due.length === 0) return rung.size;
        for (let at = 0; at < due.length; at += RUNG_AT_ONCE) {
          const some = due.slice(at, at + RUNG_AT_ONCE);
          for (const { id } of some) rung.add(id);
          await send(
            some.map(({ append }) => append),
            signal,
          );
        }
      }
    },
    async stop() {
      await worker.stop();
      await appender.close();
      segment.close();
    },
  };
}

const RUNG_AT_ONCE = 500;

interface DueAlarm {
  readonly id: string;
  readonly dueMs: number;
  readonly append: LogAppend;
}

/** Alarms that are set for a time up to `nowMs` and have not rung. */
async function dueAlarms(
  door: NatsDoor,
  { names, shards }: DeployedSegment,
  nowMs: number,
  rung: ReadonlySet<string>,
): Promise<readonly DueAlarm[]> {
  const due: DueAlarm[] = [];
  const filter = names.recordSubject('t.>');
  for await (const batch of readBatches(door, names.profilesStream, { filter })) {
    for (const { payload, removed } of batch) {
      if (removed || payload.length === 0) continue;
      const timer = JSON.parse(Buffer.from(payload).toString('utf8')) as Extract<
        LogEnvelope,
        { type: 'timer' }
      >;
      const id = `${timer.profileId} ${timer.timer} ${timer.generation}`;
      if (timer.dueMs > nowMs || rung.has(id)) continue;
      const body: LogEnvelope = { ...timer, shadow: { nowMs: timer.dueMs, position: 0 } };
      const shard = shardOf(timer.profileId, shards);
      due.push({
        id,
        dueMs: timer.dueMs,
        append: { shard, source: 'command', payload: Buffer.from(JSON.stringify(body)) },
      });
    }
  }
  return due.sort((a, b) => a.dueMs - b.dueMs || (a.id < b.id ? -1 : 1));
}

function markOf(payload: Uint8Array): ShadowMark | undefined {
  const envelope = JSON.parse(Buffer.from(payload).toString('utf8')) as LogEnvelope;
  return envelope.type === 'event' || envelope.type === 'link' ? envelope.shadow : undefined;
}
