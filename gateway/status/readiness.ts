// Whether the gateway can do its work now: every segment's log takes appends, and its streams are there. The answer is
// shared by all who ask at about the same time, since the address is open.
import { recordKeys } from '../../shared/contract/names.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { ERRORS, isStitchworkError } from '../../shared/kernel/errors.ts';
import type { GatewaySegment } from '../deps.ts';
import { withDeadline } from '../http/deadline.ts';

const CHECK_DEADLINE_MS = 1_000;

/** Returns a check that resolves to the reasons why it is not ready; none: it is. */
export function createReadiness(o: {
  readonly segments: readonly GatewaySegment[];
  readonly clock: Clock;
  readonly reuseMs: number;
}): () => Promise<readonly string[]> {
  let last: { readonly atMs: number; readonly answer: Promise<readonly string[]> } | undefined;
  return () => {
    const nowMs = o.clock.nowMs();
    if (last === undefined || nowMs - last.atMs >= o.reuseMs || nowMs < last.atMs)
      last = { atMs: nowMs, answer: check(o.segments, o.clock) };
    return last.answer;
  };
}

async function check(segments: readonly GatewaySegment[], clock: Clock): Promise<readonly string[]> {
  const reasons = await Promise.all(segments.map((segment) => reasonOf(segment, clock)));
  return reasons.filter((reason) => reason !== undefined);
}

async function reasonOf(segment: GatewaySegment, clock: Clock): Promise<string | undefined> {
  const name = segment.names.segment;
  if (!segment.appender.reachable) return `${name}: the event log cannot be reached`;
  try {
    // Both must answer; what they say does not matter here.
    const topology = Promise.all([segment.log.state(), segment.store.read([recordKeys.shard(0)], 'leader')]);
    await withDeadline(topology, { clock, ms: CHECK_DEADLINE_MS, code: 'STORE_UNAVAILABLE' });
    return undefined;
  } catch (error) {
    // The table's text only: the address is open, and an error may name hosts.
    return `${name}: ${ERRORS[isStitchworkError(error) ? error.code : 'INTERNAL'].text}`;
  }
}
