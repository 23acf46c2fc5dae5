// Replays a file into the live segment: rows in order, batch after batch, at a bounded rate, with its position saved
// after each accepted batch. messageId = hash(file digest, row) unless mapped, so sending a batch again changes nothing
// within the duplicate horizon.
import type { Clock } from '../../shared/kernel/clock.ts';
import { sha256Base64Url } from '../../shared/kernel/hash.ts';
import { type MappedEvent, type Mapping, mapRow } from './mapping.ts';
import type { Row } from './read-rows.ts';
import type { SendOutcome } from './send.ts';

const BATCH_EVENTS_MAX = 500;
const BATCH_BYTES_MAX = 4_000_000;
/** At a low rate a batch is cut so that progress is seen about four times a second. */
const BATCHES_PER_SECOND = 4;

export interface ReplayTotals {
  /** Rows done, from the beginning of the file, broken ones included. */
  readonly rows: number;
  readonly sent: number;
  readonly broken: number;
  readonly rejected: number;
}

export interface ReplayDeps {
  readonly clock: Clock;
  send(events: readonly MappedEvent[]): Promise<SendOutcome>;
  /** After each batch: its effects are accepted. */
  onBatch(totals: ReplayTotals): void;
  onBroken(line: number, reason: string): void;
}

export interface ReplayOptions {
  readonly fileDigest: string;
  readonly mapping: Mapping;
  readonly from: ReplayTotals;
  /** Events a second; undefined: as fast as they are taken. */
  readonly ratePerSecond: number | undefined;
  readonly signal: AbortSignal;
}

interface Pending {
  readonly events: MappedEvent[];
  readonly lines: number[];
  bytes: number;
}

/** Sends every row after `from.rows`. Throws what `send` throws, and when the gateway refuses a whole batch. */
export async function replayRows(
  rows: AsyncIterable<Row>,
  deps: ReplayDeps,
  options: ReplayOptions,
): Promise<ReplayTotals> {
  let totals = options.from;
  const batchMax = batchSize(options.ratePerSecond);
  const startedMs = deps.clock.elapsedMs();
  const pending: Pending = { events: [], lines: [], bytes: 0 };
  const flush = async () => {
    totals = await flushBatch(pending, totals, deps);
    if (options.ratePerSecond === undefined) return;
    const dueMs = startedMs + ((totals.sent - options.from.sent) / options.ratePerSecond) * 1000;
    const waitMs = dueMs - deps.clock.elapsedMs();
    if (waitMs > 0) await deps.clock.sleep(waitMs, options.signal);
  };
  for await (const row of rows) {
    if (row.row <= options.from.rows) continue;
    options.signal.throwIfAborted();
    const event = eventOf(row, options);
    if ('reason' in event) {
      deps.onBroken(row.line, event.reason);
      totals = { ...totals, broken: totals.broken + 1 };
    } else {
      const bytes = JSON.stringify(event.event).length;
      if (pending.events.length > 0 && pending.bytes + bytes > BATCH_BYTES_MAX) await flush();
      pending.events.push(event.event);
      pending.lines.push(row.line);
      pending.bytes += bytes;
    }
    totals = { ...totals, rows: row.row - pending.events.length };
    if (pending.events.length >= batchMax) await flush();
  }
  await flush();
  return totals;
}

/** The event of a row, or why there is none. */
export function eventOf(
  row: Row,
  options: Pick<ReplayOptions, 'mapping' | 'fileDigest'>,
): { readonly event: MappedEvent } | { readonly reason: string } {
  if (row.kind === 'broken') return { reason: row.reason };
  const mapped = mapRow(row.fields, options.mapping);
  if (mapped.kind === 'broken') return { reason: mapped.reason };
  const { event } = mapped;
  if (event.messageId === undefined)
    event.messageId = sha256Base64Url(`${options.fileDigest}:${row.row}`, 27);
  return { event };
}

function batchSize(ratePerSecond: number | undefined): number {
  if (ratePerSecond === undefined) return BATCH_EVENTS_MAX;
  return Math.min(BATCH_EVENTS_MAX, Math.max(1, Math.ceil(ratePerSecond / BATCHES_PER_SECOND)));
}

async function flushBatch(pending: Pending, totals: ReplayTotals, deps: ReplayDeps): Promise<ReplayTotals> {
  const count = pending.events.length;
  if (count > 0) {
    const outcome = await deps.send(pending.events);
    if (outcome.kind === 'refused') {
      throw new Error(
        `the gateway refuses the batch at line ${pending.lines[0]}: ${outcome.status} ${outcome.body.slice(0, 500)}`,
      );
    }
    for (const bad of outcome.rejected)
      deps.onBroken(pending.lines[bad.index] ?? 0, `${bad.code}: ${bad.message}`);
    const rejected = outcome.rejected.length;
    totals = {
      ...totals,
      rows: totals.rows + count,
      sent: totals.sent + count - rejected,
      rejected: totals.rejected + rejected,
    };
    pending.events.length = 0;
    pending.lines.length = 0;
    pending.bytes = 0;
  }
  deps.onBatch(totals);
  return totals;
}
