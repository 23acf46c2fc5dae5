// One message of a stream as a line: for people, or JSON with where and when it stands.
import type { DeliveryEntry } from '../../shared/contract/delivery.ts';
import type { StreamMessage } from '../../shared/nats/stream-reader.ts';
import { attemptLine } from './activation-lines.ts';
import type { Style } from './io.ts';
import type { TailSource } from './tail-filter.ts';

export function jsonLine(message: StreamMessage): string {
  const { subject, sequence, timeMs } = message;
  return JSON.stringify({ subject, sequence, time: new Date(timeMs).toISOString(), body: bodyOf(message) });
}

export function textLine(what: TailSource, message: StreamMessage, style: Style): string {
  const time = style.dim(new Date(message.timeMs).toISOString());
  const body = bodyOf(message) as Record<string, unknown>;
  switch (what) {
    case 'events': {
      const event = body.event as { name?: string; keys?: unknown; properties?: unknown } | undefined;
      const shown = event
        ? `${event.name} ${JSON.stringify(event.keys)} ${JSON.stringify(event.properties)}`
        : JSON.stringify(body);
      return `${time} ${message.subject} ${shown}`;
    }
    case 'activations':
      return `${time} ${style.bold(String(body.name))} profile ${body.profileId} ${JSON.stringify(body.payload)}`;
    case 'deliveries':
      return `${time} ${attemptLine(body as unknown as DeliveryEntry, style)}`;
    case 'audit':
      return `${time} ${style.bold(String(body.kind))} profile ${body.profileId ?? '-'} ${JSON.stringify(body.facts)}`;
  }
}

function bodyOf(message: StreamMessage): unknown {
  const text = Buffer.from(message.payload).toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return { unreadable: Buffer.from(message.payload).toString('base64') };
  }
}
