// The filter of `tail --where`: a CEL condition over one message. Events are seen as the conditions of the segment's
// config see them (keys normalized, unusable ones left out); activations and audit entries as they stand on the wire.
import { parseMessage } from '../../actors/profile/parse-message.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { type CompiledFilter, compileFilter, type Filter } from '../../shared/contract/expression.ts';
import type { StreamMessage } from '../../shared/nats/stream-reader.ts';
import { CommandFailure, EXIT } from './exit.ts';

export const TAIL_SOURCES = ['events', 'activations', 'deliveries', 'audit'] as const;
export type TailSource = (typeof TAIL_SOURCES)[number];

const ROOT = { events: 'event', activations: 'activation', deliveries: 'delivery', audit: 'audit' } as const;

/** Compiles the condition. Throws CommandFailure 2 that says where it is wrong. */
export function compileWhere(source: string, what: TailSource): Filter {
  const compiled = compileFilter(source, { [ROOT[what]]: 'map', subject: 'string' });
  if (compiled.kind === 'ok') return compiled.filter;
  throw new CommandFailure(EXIT.usage, describeInvalid(source, compiled, what));
}

function describeInvalid(
  source: string,
  { reason, at }: Extract<CompiledFilter, { kind: 'invalid' }>,
  what: TailSource,
): string {
  const roots = `roots here: ${ROOT[what]}, subject, now`;
  if (!at) return `--where: ${reason}\n  ${source}\n  (${roots})`;
  const line = source.split('\n')[at.line - 1] ?? '';
  const pointer = `${' '.repeat(at.column - 1)}^`;
  return `--where: line ${at.line}, column ${at.column}: ${reason}\n  ${line}\n  ${pointer}\n  (${roots})`;
}

export interface MessageFilter {
  accepts(message: StreamMessage): boolean;
  /** Messages that the condition could not be evaluated on, and the first reason. */
  readonly failures: { readonly count: number; readonly first: string | undefined };
}

/** Applies the condition to messages; one that cannot be evaluated does not match, and is counted. */
export function messageFilter(
  filter: Filter,
  what: TailSource,
  config: SegmentConfig | undefined,
): MessageFilter {
  let count = 0;
  let first: string | undefined;
  const failed = (reason: string): false => {
    count += 1;
    first ??= reason;
    return false;
  };
  return {
    get failures() {
      return { count, first };
    },
    accepts(message) {
      const root = what === 'events' ? eventRoot(message, config) : jsonOf(message);
      const now = new Date(message.timeMs);
      const result = filter.evaluate({ [ROOT[what]]: root, subject: message.subject, now });
      if (result.kind === 'failed') return failed(result.reason);
      if (result.kind === 'missing') return false;
      if (typeof result.value === 'boolean') return result.value;
      return failed(`the result is ${JSON.stringify(result.value)}, not true or false`);
    },
  };
}

/** An event as conditions see it. A message that is none (a timer, garbage) has no fields. */
function eventRoot(message: StreamMessage, config: SegmentConfig | undefined): object {
  if (!config) return asSent(message);
  const { sequence, timeMs, payload } = message;
  try {
    const parsed = parseMessage(
      { shard: 0, source: 'ingest', sequence, nowMs: timeMs, payload, logId: '' },
      config,
    );
    return parsed.kind === 'event' ? parsed.input.event.root : {};
  } catch {
    // What the worker cannot read becomes a dead letter there, and matches nothing here.
    return {};
  }
}

/** Without the segment's config (none is deployed yet) an event is taken as it was sent. */
function asSent(message: StreamMessage): object {
  const { event } = jsonOf(message);
  if (typeof event !== 'object' || event === null) return {};
  const sent = 'timestampMs' in event ? Number(event.timestampMs) : message.timeMs;
  return { table: '', ...event, timestamp: new Date(sent) };
}

function jsonOf(message: StreamMessage): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(message.payload).toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
