// Sends the links that do something, or only tells what they would do. Never more are waiting in the log than a worker takes
// in its stride, all in one shard, so that they are applied in the order in which they were judged; what comes next is judged
// after these are applied. There is nothing to remember: whoever begins again compares anew, and what was applied is in place.
import { ROUTING_KEY_OF_LINKS, shardOf } from '../../shared/contract/routing.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { isStitchworkError, StitchworkError } from '../../shared/kernel/errors.ts';
import { type Applying, awaitApplied } from '../../shared/ports/await-applied.ts';
import type { EventLogAppender, LogAppend } from '../../shared/ports/event-log.ts';
import type { Duck } from '../duck.ts';
import { type Compared, sightings } from './differences.ts';
import { type LinkReport, LinkReporter } from './link-report.ts';
import { LinkPlan, type PlanDeps, type PlannedLink } from './plan-links.ts';

export interface LinkRun {
  readonly duck: Duck;
  readonly compared: Compared;
  readonly signal: AbortSignal;
  readonly onProgress: (report: LinkReport) => void;
}

export interface SendDeps extends PlanDeps, Applying {
  readonly store: PlanDeps['store'] & Applying['store'];
  readonly clock: Clock;
  readonly appender: Pick<EventLogAppender, 'append'>;
  /** Links a second, at most. */
  readonly ratePerSecond: number;
  /** What a rule refuses is sent too, so that the audit log has it. */
  readonly alsoRefused: boolean;
}

/** A dry run keeps every record that it touches in memory: it ends after so many. */
export const DRY_RUN_MAX = 20_000;
const JUDGED_AT_ONCE = 720;
/** A fifth of what a worker commits at once: live events have the rest. */
const AT_ONCE = 180;
const APPLIED_TIMEOUT_MS = 60_000;

/** What would happen, without what live events do meanwhile. Writes nothing. Throws STORE_UNAVAILABLE, the signal's reason. */
export async function tryLinks(
  deps: PlanDeps & { readonly clock: Clock },
  { duck, compared, signal, onProgress }: LinkRun,
  max = DRY_RUN_MAX,
): Promise<LinkReport> {
  const reporter = new LinkReporter(compared);
  const plan = new LinkPlan(deps, deps.clock.nowMs());
  let left = max;
  for await (const some of sightings(duck, signal, JUDGED_AT_ONCE)) {
    if (some.length > left) reporter.cutShort();
    if (left === 0) break;
    reporter.judged(await plan.judge(some.slice(0, left)));
    onProgress(reporter.report());
    left = Math.max(0, left - some.length);
  }
  return reporter.report();
}

/** Throws LOG_UNAVAILABLE, LOG_FULL, STORE_UNAVAILABLE, and the reason of the signal: what was sent is sent. */
export async function sendLinks(deps: SendDeps, run: LinkRun): Promise<LinkReport> {
  const { duck, compared, signal, onProgress } = run;
  const { clock, alsoRefused } = deps;
  const reporter = new LinkReporter(compared);
  const startedMs = clock.elapsedMs();
  for await (const some of sightings(duck, signal, JUDGED_AT_ONCE)) {
    const planned = await new LinkPlan(deps, clock.nowMs()).judge(some, alsoRefused);
    reporter.judged(planned);
    const wanted = planned.filter((link) => link.isEffective || (alsoRefused && link.outcome === 'refused'));
    for (let at = 0; at < wanted.length; at += AT_ONCE) {
      signal.throwIfAborted();
      const part = wanted.slice(at, at + AT_ONCE);
      await append(deps, part);
      reporter.sent(part.length);
      onProgress(reporter.report());
      await untilApplied(deps, signal);
      const dueMs = startedMs + (reporter.report().sent / deps.ratePerSecond) * 1000;
      const waitMs = dueMs - clock.elapsedMs();
      if (waitMs > 0) await clock.sleep(waitMs, signal);
    }
  }
  return reporter.report();
}

async function append({ appender, shards }: SendDeps, part: readonly PlannedLink[]): Promise<void> {
  const shard = shardOf(ROUTING_KEY_OF_LINKS, shards);
  const messages = part.map(
    ({ message }): LogAppend => ({ shard, source: 'batch', payload: Buffer.from(JSON.stringify(message)) }),
  );
  const outcome = await appender.append(messages);
  if (outcome.kind === 'full') throw new StitchworkError('LOG_FULL');
  // Those of an unknown outcome as well: the next run finds out.
  if (outcome.kind !== 'stored')
    throw new StitchworkError('LOG_UNAVAILABLE', `links cannot be sent: the log is ${outcome.kind}`);
}

/** Until everything that is in the log is applied, however long workers are behind. Throws the reason of the signal. */
export async function untilApplied(
  deps: Applying & { readonly clock: Clock },
  signal: AbortSignal,
): Promise<void> {
  const { lastSequence } = await deps.log.state();
  for (;;) {
    try {
      await awaitApplied(deps, lastSequence, { clock: deps.clock, signal, timeoutMs: APPLIED_TIMEOUT_MS });
      return;
    } catch (error) {
      if (!isStitchworkError(error, 'NOT_READY')) throw error;
      signal.throwIfAborted();
    }
  }
}
