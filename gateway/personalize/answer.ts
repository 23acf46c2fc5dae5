// One call, answered within its budget whatever is slow: ingest, wait for the commit, decide; or read and decide. What does not
// come in time is gone without, and the answer says so. Protocols call this and put the decision into their own words.
import type { EventKey } from '../../actors/identity/keys.ts';
import { keysOf } from '../../actors/identity/keys.ts';
import { type Offers, selectSections, type VisitorEvent } from '../../actors/personalization/decide.ts';
import { joinBatch } from '../../actors/profile/join-batch.ts';
import type { Profile } from '../../actors/profile/profile.ts';
import { batchAsOf } from '../../actors/profile/view.ts';
import { parseEvent } from '../../shared/contract/parse-event.ts';
import type { GatewayDeps } from '../deps.ts';
import { sanitize } from '../events/sanitize.ts';
import type { EventItem } from '../events/split-body.ts';
import type { Refusal } from '../http/errors.ts';
import type { GatewayMetrics } from '../metrics.ts';
import { withNewestRows } from '../profiles/newest-rows.ts';
import { type Budget, startBudget } from './budget.ts';
import { type DegradedReason, noteFailure } from './degraded.ts';
import { findVisitor } from './find-visitor.ts';
import { type IngestTracer, ingest } from './ingest.ts';
import { readRows, rememberRows } from './read-rows.ts';
import type { ServiceInForce } from './services.ts';

export interface EventFate {
  readonly messageId: string;
  /** Null: the log did not say in time. */
  readonly stored: true | null;
  /** Applied, and counted in this answer. */
  readonly committed: boolean;
}

export interface Decision extends Offers {
  readonly profileId: string | null;
  /** When the profile last changed. */
  readonly profileAsOf: string | null;
  /** When the oldest of its batch rows was made. */
  readonly batchAsOf: string | null;
  readonly configVersion: number;
  /** Empty: nothing was missing. */
  readonly reasons: readonly DegradedReason[];
  /** Of a call that brought one. */
  readonly event: EventFate | undefined;
}

export type Answered =
  | { readonly kind: 'decided'; readonly decision: Decision }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export interface AnswerDeps extends Pick<GatewayDeps, 'clock' | 'random' | 'logger'> {
  readonly metrics: GatewayMetrics;
}

export interface AskOptions {
  /** By default the service's own; beyond it no call may go. */
  readonly budgetMs?: number | undefined;
  readonly trace?: IngestTracer | undefined;
}

/** What is known of the visitor when everything that was waited for has come, or has not. */
interface Known {
  readonly profile: Profile | undefined;
  readonly event: VisitorEvent | undefined;
  readonly keys: readonly EventKey[];
  readonly reasons: readonly DegradedReason[];
  readonly fate: EventFate | undefined;
}

/** Takes in one event, as it was sent, and answers after its commit. Never throws for what is slow or cannot be read. */
export async function answerEvent(
  deps: AnswerDeps,
  service: ServiceInForce,
  item: EventItem,
  options: AskOptions = {},
): Promise<Answered> {
  const startMs = deps.clock.elapsedMs();
  const budget = startBudget(deps.clock, budgetOf(service, options));
  try {
    const taken = await ingest(deps, service, item, budget, options.trace);
    if (taken.kind === 'refused') return taken;
    const decision = await decide(deps, service, taken, budget);
    tell(deps, service, 'event', decision, startMs);
    return { kind: 'decided', decision };
  } finally {
    budget.end();
  }
}

/** Answers whoever has these keys, as they were sent, from what is committed. Writes nothing and makes nobody. */
export async function answerKeys(
  deps: AnswerDeps,
  service: ServiceInForce,
  rawKeys: unknown,
  options: AskOptions = {},
): Promise<Answered> {
  const startMs = deps.clock.elapsedMs();
  const read = keysIn(service, rawKeys);
  if (read.kind === 'refused') return read;
  const { keys } = read;
  const budget = startBudget(deps.clock, budgetOf(service, options));
  try {
    const found = await budget.within(findVisitor(service.segment.store, keys));
    if (found.kind === 'failed') noteFailure(deps, found.error);
    const reasons: readonly DegradedReason[] = found.kind === 'came' ? [] : ['profile_unavailable'];
    const profile = found.kind === 'came' ? found.value : undefined;
    const known = { profile, event: undefined, keys, reasons, fate: undefined };
    const decision = await decide(deps, service, known, budget);
    tell(deps, service, 'read', decision, startMs);
    return { kind: 'decided', decision };
  } finally {
    budget.end();
  }
}

function budgetOf({ rule }: ServiceInForce, { budgetMs }: AskOptions): number {
  return Math.min(budgetMs ?? rule.config.budgetMs, rule.config.budgetMs);
}

function keysIn(
  { rule: { segment } }: ServiceInForce,
  rawKeys: unknown,
): { readonly kind: 'keys'; readonly keys: readonly EventKey[] } | { kind: 'refused'; refusal: Refusal } {
  const raw = { name: 'read', keys: rawKeys };
  if (!sanitize(raw))
    return { kind: 'refused', refusal: { code: 'BAD_REQUEST', message: 'The keys are nested too deep.' } };
  const names = segment.stitching.keys.map(({ name }) => name);
  const parsed = parseEvent(raw, names, () => 'read');
  if (parsed.kind === 'rejected') {
    const { message } = parsed;
    const code = parsed.code === 'INVALID_EVENT' ? 'BAD_REQUEST' : parsed.code;
    return { kind: 'refused', refusal: { code, message } };
  }
  return { kind: 'keys', keys: keysOf(segment, parsed.event).usable };
}

async function decide(
  deps: AnswerDeps,
  service: ServiceInForce,
  known: Known,
  budget: Budget,
): Promise<Decision> {
  const { segment, rule, configVersion } = service;
  const reasons = [...known.reasons];
  let { profile } = known;
  if (profile) {
    // Mostly the worker has joined the rows that are in force, and nothing has to be read.
    const first = joinBatch(profile, rule.segment.batchTables, segment.runs(), () => undefined);
    if (first.kind === 'joined') profile = first.profile;
    else {
      const parts = { store: segment.store, runs: segment.runs, config: () => rule.segment };
      const joined = await budget.within(withNewestRows(profile, parts));
      if (joined.kind === 'came') profile = joined.value;
      else missed(joined);
    }
  }
  const keys = Object.fromEntries(known.keys.map(({ config: { name }, value }) => [name, value]));
  const visitor = { profile, event: known.event, keys, nowMs: deps.clock.nowMs() };
  const selection = selectSections(rule, visitor);
  const remembered = rememberRows(segment, selection.rows);
  const rows =
    remembered.missing.length === 0
      ? undefined
      : await budget.within(readRows(segment.store, remembered.missing));
  if (rows && rows.kind !== 'came') missed(rows);
  const offers = selection.compose(remembered.with(rows?.kind === 'came' ? rows.value : new Map()));
  return {
    ...offers,
    profileId: profile?.id ?? null,
    profileAsOf: profile ? new Date(profile.updatedAtMs).toISOString() : null,
    batchAsOf: profile ? batchAsOf(profile, rule.segment) : null,
    configVersion,
    reasons: [...new Set(reasons)],
    event: known.fate,
  };

  function missed(
    waited: { readonly kind: 'failed'; readonly error: unknown } | { readonly kind: 'late' },
  ): void {
    if (waited.kind === 'failed') noteFailure(deps, waited.error);
    reasons.push('rows_unavailable');
  }
}

function tell(
  { metrics, clock }: AnswerDeps,
  { segment, rule }: ServiceInForce,
  kind: 'event' | 'read',
  { profileId, reasons, outcomes, omitted }: Decision,
  startMs: number,
): void {
  metrics.personalized({
    segment: segment.names.segment,
    service: rule.config.name,
    kind,
    isKnown: profileId !== null,
    reasons,
    sections: [...outcomes, ...omitted.map((section) => ({ section, outcome: 'omitted' as const }))],
    durationMs: clock.elapsedMs() - startMs,
  });
}
