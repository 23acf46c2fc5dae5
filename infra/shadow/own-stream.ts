// A segment's own events as something to replay: those that were accepted, and links from batch, in the order and at the times of the log, from
// archive and log as one.
import { readEnvelope } from '../../actors/profile/parse-message.ts';
import type { EventHistory } from '../../shared/ports/event-history.ts';
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
  history: EventHistory,
  { fromSequence, toSequence, sinceMs, untilMs, keys }: Stretch,
  onSkipped: (what: 'command' | 'unreadable') => void,
  signal: AbortSignal,
): AsyncGenerator<SourceEvent> {
  const query = {
    ...(fromSequence !== undefined && { fromSequence }),
    ...(toSequence !== undefined && { toSequence }),
    ...(sinceMs !== undefined && { fromTimeMs: sinceMs }),
    ...(untilMs !== undefined && { toTimeMs: untilMs }),
    ...(keys.length > 0 && { keys: valuesByName(keys) }),
  };
  for await (const messages of history.read(query, signal)) {
    for (const { source, sequence, timeMs, payload } of messages) {
      if (source === 'command') onSkipped('command');
      if (source !== 'ingest' && source !== 'batch') continue;
      const said = readEnvelope(payload);
      if (said?.type === 'event' || said?.type === 'link') yield { said, timeMs, position: sequence };
      // Rows of snapshot tables, which a shadow does not have, are nothing to replay.
      else if (said?.type !== 'row') onSkipped('unreadable');
    }
  }
}

function valuesByName(keys: Stretch['keys']): Readonly<Record<string, readonly string[]>> {
  const values: Record<string, string[]> = {};
  for (const { name, value } of keys) values[name] = [...(values[name] ?? []), value];
  return values;
}
