// A segment's own event log as something to replay: the events that were accepted, in the order and at the times of the log.
import { readEnvelope } from '../../actors/profile/parse-message.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { readBatches } from '../../shared/nats/stream-batches.ts';
import type { SourceEvent } from './replay-into.ts';

export interface Stretch {
  readonly fromSequence: number | undefined;
  readonly toSequence: number | undefined;
  /** Log times, ms. */
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  /** Only events that carry one of these keys, as sent. */
  readonly keys: readonly { readonly name: string; readonly value: string }[];
}

/** Commands (splits, merges by hand) name profiles of the live segment and are left out; `onSkipped` hears of them. */
export async function* ownStream(
  door: NatsDoor,
  names: SegmentNames,
  { fromSequence = 1, toSequence = Number.MAX_SAFE_INTEGER, sinceMs = 0, untilMs, keys }: Stretch,
  onSkipped: (what: 'command' | 'unreadable') => void,
): AsyncGenerator<SourceEvent> {
  const options = { filter: names.eventsFilter, fromSequence, toSequence };
  for await (const batch of readBatches(door, names.eventsStream, options)) {
    for (const { subject, sequence, timeMs, payload } of batch) {
      if (timeMs < sinceMs) continue;
      if (untilMs !== undefined && timeMs >= untilMs) return;
      if (subject.endsWith('.command')) onSkipped('command');
      if (!subject.endsWith('.ingest')) continue;
      const envelope = readEnvelope(payload);
      if (envelope?.type !== 'event') {
        onSkipped('unreadable');
        continue;
      }
      const { event } = envelope;
      if (keys.length > 0 && !keys.some(({ name, value }) => event.keys[name] === value)) continue;
      yield { event, timeMs, position: sequence };
    }
  }
}
