// OpenTelemetry, the one door: spans of the way of an event through gateway, log, shard, commit and copies. Only the API
// is a dependency: without an SDK registered in the process (`node --import …`) every span is a no-op and nothing is
// marked. The trace context travels in the event's envelope (W3C traceparent).
import type { IncomingHttpHeaders } from 'node:http';
import {
  type Context,
  context,
  isSpanContextValid,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { readEnvelope } from '../actors/profile/parse-message.ts';
import type { IngestTrace, IngestTracing } from '../gateway/deps.ts';
import type { Clock } from '../shared/kernel/clock.ts';
import type { OutboxCopies } from '../shared/ports/outbox-copies.ts';
import type { CommittedBatch, WorkerTelemetry } from '../shared/ports/worker-telemetry.ts';

const TRACER = 'stitchwork';
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
/** How long a traced commit waits to see its outbox copied. */
const COPY_WAIT_MS = 10_000;
const COPY_LOOK_MS = 50;

const tracer = () => trace.getTracer(TRACER);

/** Traces of requests that bring events, continuing the caller's trace when it sent one. */
export function createIngestTracing(): IngestTracing {
  return {
    begin(headers) {
      const parent = contextOf(headerOf(headers)) ?? ROOT_CONTEXT;
      const span = tracer().startSpan('POST /v1/events', { kind: SpanKind.SERVER }, parent);
      return span.isRecording() ? ingestTrace(span) : undefined;
    },
  };
}

function ingestTrace(span: Span): IngestTrace {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
    append(segment, messages) {
      const attributes = { 'stitchwork.segment': segment, 'messaging.batch.message_count': messages };
      const append = tracer().startSpan(
        'append',
        { kind: SpanKind.PRODUCER, attributes },
        trace.setSpan(context.active(), span),
      );
      return (outcome) => {
        if (outcome !== 'stored') append.setStatus({ code: SpanStatusCode.ERROR, message: outcome });
        append.end();
      };
    },
    end(status) {
      span.setAttribute('http.response.status_code', status);
      if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    },
  };
}

/** The telemetry with spans for the traced events among those that a commit applied. */
export function withTracing(
  telemetry: WorkerTelemetry,
  segment: string,
  copies: Pick<OutboxCopies, 'states'>,
  clock: Clock,
): WorkerTelemetry {
  const watch = new CopyWatch(copies, clock);
  return {
    ...telemetry,
    committed(batch) {
      telemetry.committed(batch);
      for (const traced of tracedOf(batch)) watch.end(spansOf(traced, batch, segment, clock.nowMs()));
    },
  };
}

interface Traced {
  readonly message: CommittedBatch['applied'][number];
  readonly messageId: string;
  readonly parent: Context;
}

function tracedOf({ applied }: CommittedBatch): Traced[] {
  if (!isTracing()) return [];
  return applied.flatMap((message) => {
    // Most events carry no trace: looking for the word is far cheaper than reading the event.
    if (
      !Buffer.from(message.payload.buffer, message.payload.byteOffset, message.payload.length).includes(
        '"traceparent"',
      )
    )
      return [];
    const envelope = readEnvelope(message.payload);
    if (envelope?.type !== 'event') return [];
    const parent = contextOf(envelope.traceparent);
    return parent ? [{ message, messageId: envelope.event.messageId, parent }] : [];
  });
}

/** Whether an SDK is registered. */
function isTracing(): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(TRACER) !== undefined;
}

/** Shard: from the log's acknowledgement to the commit; within it the commit. Returns the copy's span, still open. */
function spansOf(
  { message, messageId, parent }: Traced,
  batch: CommittedBatch,
  segment: string,
  nowMs: number,
): Span {
  const attributes = {
    'stitchwork.segment': segment,
    'stitchwork.shard': message.shard,
    'stitchwork.sequence': message.sequence,
    'stitchwork.commit_id': batch.commitId,
    'messaging.message.id': messageId,
  };
  const startTime = Math.min(message.nowMs, nowMs - batch.durationMs);
  const shard = tracer().startSpan('shard', { kind: SpanKind.CONSUMER, startTime, attributes }, parent);
  const inShard = trace.setSpan(parent, shard);
  const commit = tracer().startSpan('commit', { startTime: nowMs - batch.durationMs, attributes }, inShard);
  commit.setAttribute('stitchwork.commit.messages', batch.messages);
  commit.setAttribute('stitchwork.commit.writes', batch.writes);
  commit.end(nowMs);
  shard.end(nowMs);
  return tracer().startSpan('copy', { startTime: nowMs, attributes }, inShard);
}

/** Ends the spans of copies when the server has copied everything that was committed before. */
class CopyWatch {
  readonly #copies: Pick<OutboxCopies, 'states'>;
  readonly #clock: Clock;
  #waiting: { readonly span: Span; readonly sinceMs: number }[] = [];
  #looking = false;

  constructor(copies: Pick<OutboxCopies, 'states'>, clock: Clock) {
    this.#copies = copies;
    this.#clock = clock;
  }

  end(span: Span): void {
    this.#waiting.push({ span, sinceMs: this.#clock.elapsedMs() });
    if (!this.#looking) void this.#look();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    while (this.#waiting.length > 0) {
      const before = this.#waiting;
      const done = await this.#copies.states().then(
        (states) => states.every(({ lag, activeMs }) => lag === 0 && activeMs >= 0),
        () => false,
      );
      const nowMs = this.#clock.elapsedMs();
      const kept = this.#waiting.filter(
        (one) => !before.includes(one) || (!done && nowMs - one.sinceMs < COPY_WAIT_MS),
      );
      for (const one of this.#waiting) {
        if (kept.includes(one)) continue;
        if (!done) one.span.setStatus({ code: SpanStatusCode.ERROR, message: 'not copied yet' });
        one.span.end();
      }
      this.#waiting = kept;
      await this.#clock.sleep(COPY_LOOK_MS);
    }
    this.#looking = false;
  }
}

function headerOf(headers: IncomingHttpHeaders): string | undefined {
  const { traceparent } = headers;
  return typeof traceparent === 'string' ? traceparent : undefined;
}

/** The context that a sampled traceparent names (W3C Trace Context, version 00). */
function contextOf(traceparent: string | undefined): Context | undefined {
  const match = TRACEPARENT.exec(traceparent ?? '');
  if (!match) return undefined;
  const spanContext = {
    traceId: match[1]!,
    spanId: match[2]!,
    traceFlags: Number.parseInt(match[3]!, 16) & TraceFlags.SAMPLED,
    isRemote: true,
  };
  return isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : undefined;
}
