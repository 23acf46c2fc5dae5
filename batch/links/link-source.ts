// Where links come from: keys that stood on one event of the archive, or pairs of ids of a table that somebody else made.
import { LINK_KEYS_MAX, type LinkedKey } from '../../shared/contract/event.ts';
import type { Duck } from '../duck.ts';
import type { QueryViews } from '../query/query-views.ts';

/** Keys that belong together, as they were sent. */
export interface FoundSet {
  readonly keys: readonly LinkedKey[];
  /** When they were seen together first and last, ms; undefined: nobody knows. */
  readonly firstMs: number | undefined;
  readonly lastMs: number | undefined;
}

export type FoundRow =
  | { readonly kind: 'set'; readonly set: FoundSet }
  | { readonly kind: 'broken'; readonly reason: string };

export const PAIR_COLUMNS = ['key_name_a', 'value_a', 'key_name_b', 'value_b'] as const;

/** A row of a table of pairs: `key_name_a`, `value_a`, `key_name_b`, `value_b`, and `at` (ISO 8601 or epoch ms) if it is known. */
export function setOfRow(fields: Readonly<Record<string, unknown>>): FoundRow {
  const texts: string[] = [];
  for (const column of PAIR_COLUMNS) {
    const value = fields[column];
    if (value === undefined || value === null || value === '')
      return { kind: 'broken', reason: `${column} is empty; ${PAIR_COLUMNS.join(', ')} are meant` };
    if (typeof value === 'object') return { kind: 'broken', reason: `${column} is no text` };
    texts.push(String(value));
  }
  const [nameA = '', valueA = '', nameB = '', valueB = ''] = texts;
  const keys = [
    { name: nameA, value: valueA },
    { name: nameB, value: valueB },
  ];
  const { at } = fields;
  if (at === undefined || at === null || at === '')
    return { kind: 'set', set: { keys, firstMs: undefined, lastMs: undefined } };
  const ms = timeOf(at);
  if (ms === undefined) return { kind: 'broken', reason: `at is ${JSON.stringify(at)}, no time` };
  return { kind: 'set', set: { keys, firstMs: ms, lastMs: ms } };
}

function timeOf(at: unknown): number | undefined {
  const isMs =
    typeof at === 'number' || typeof at === 'bigint' || (typeof at === 'string' && /^-?\d+$/.test(at));
  const ms = at instanceof Date ? at.getTime() : isMs ? Number(at) : Date.parse(String(at));
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? Math.floor(ms) : undefined;
}

/** Every set of two keys or more that stood on one event, with its first and last time. Ends early when it is aborted. */
export async function* setsOfArchive(
  duck: Duck,
  views: QueryViews,
  signal: AbortSignal,
): AsyncGenerator<FoundRow> {
  await views.prepare('events');
  const connection = await duck.open();
  try {
    const result =
      await connection.stream(`SELECT keys::VARCHAR, min(epoch_ms(event_time))::DOUBLE, max(epoch_ms(event_time))::DOUBLE
      FROM events WHERE keys IS NOT NULL AND len(json_keys(keys)) > 1 GROUP BY keys::VARCHAR`);
    for (;;) {
      signal.throwIfAborted();
      const chunk = await result.fetchChunk();
      if (!chunk || chunk.rowCount === 0) return;
      for (const [text, firstMs, lastMs] of chunk.getRows() as [string, number, number][]) {
        const named = Object.entries(JSON.parse(text) as Record<string, string>);
        // More than a link holds: keys that no config knows.
        const keys = named.slice(0, LINK_KEYS_MAX).map(([name, value]) => ({ name, value }));
        yield { kind: 'set', set: { keys, firstMs, lastMs } };
      }
    }
  } finally {
    connection.closeSync();
  }
}
