// The event of a call: into the log, and the wait for its commit. The worker's reply brings the profile with the event in it;
// when that does not come in time, what was committed before is read meanwhile.

import type { EventKey } from '../../actors/identity/keys.ts';
import type { VisitorEvent } from '../../actors/personalization/decide.ts';
import { parseMessage } from '../../actors/profile/parse-message.ts';
import type { Profile } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import type { CommitReply } from '../../shared/contract/event.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { invariant } from '../../shared/kernel/assert.ts';
import { uuidV7From } from '../../shared/kernel/hash.ts';
import { randomToken } from '../../shared/kernel/random.ts';
import type { AppendOutcome, LogAppend } from '../../shared/ports/event-log.ts';
import type { ReplyBox } from '../../shared/ports/replies.ts';
import type { GatewaySegment } from '../deps.ts';
import { allRejected, appendRefusal } from '../events/append-refusal.ts';
import { type Prepared, prepareEvents } from '../events/prepare.ts';
import type { EventItem } from '../events/split-body.ts';
import type { Refusal } from '../http/errors.ts';
import { readProfile } from '../profiles/read-profile.ts';
import type { AnswerDeps, EventFate } from './answer.ts';
import type { Budget, Waited } from './budget.ts';
import { type DegradedReason, noteFailure } from './degraded.ts';
import { findVisitor } from './find-visitor.ts';
import type { ServiceInForce } from './services.ts';

/** The trace of the request, as far as it concerns the event. */
export interface IngestTracer {
  readonly traceparent: string;
  append(segment: string, messages: number): (outcome: string) => void;
}

export type Ingested =
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | {
      readonly kind: 'taken';
      readonly profile: Profile | undefined;
      readonly event: VisitorEvent;
      readonly keys: readonly EventKey[];
      readonly reasons: readonly DegradedReason[];
      readonly fate: EventFate;
    };

const ENTROPY_CHARACTERS = 24;
/** When this much of the budget is gone, what was committed before is read. */
const LOOK_BACK_PART = 0.5;

/** Takes the event in. Never rejects for what is slow. */
export async function ingest(
  deps: AnswerDeps,
  service: ServiceInForce,
  item: EventItem,
  budget: Budget,
  trace: IngestTracer | undefined,
): Promise<Ingested> {
  const { segment, rule } = service;
  const box = segment.replyBoxes.open();
  try {
    const newId = () => uuidV7From(deps.clock.nowMs(), randomToken(deps.random, ENTROPY_CHARACTERS));
    const replyTo = (position: number) => box.subjectOf(position);
    const marks = { replyTo, asks: rule.config.name, traceparent: trace?.traceparent };
    const prepared = prepareEvents([item], segment, newId, marks);
    for (const { code } of prepared.rejected) deps.metrics.rejected(segment.names.segment, code);
    const [append] = prepared.appends;
    if (!append) return { kind: 'refused', refusal: allRejected(prepared.rejected) };
    const seen = seenBy(deps, service, append);
    const before = lookBack(segment, seen.keys, budget);
    const outcome = await budget.within(appendOf(deps, segment, append, trace), 'commit');
    if (outcome.kind === 'failed') throw outcome.error;
    if (outcome.kind === 'came' && outcome.value.kind !== 'stored')
      return { kind: 'refused', refusal: appendRefusal(outcome.value, prepared) };
    const commit = outcome.kind === 'came' ? await commitOf(box, budget.leftForCommitMs()) : undefined;
    const missing: DegradedReason = outcome.kind === 'late' ? 'log_slow' : 'worker_slow';
    const found = await visitorOf(deps, segment, commit, { before, budget, missing });
    const stored = outcome.kind === 'came' ? true : null;
    const committed = commit !== undefined && commit.code === undefined;
    const fate = { messageId: messageIdOf(prepared), stored, committed } as const;
    return { kind: 'taken', ...found, ...seen, fate };
  } finally {
    box.close();
  }
}

function messageIdOf({ accepted }: Prepared): string {
  const [first] = accepted;
  invariant(first, 'an event that was appended was accepted');
  return first.messageId;
}

/** Counted when it is over, also when nobody waits for it any more. */
async function appendOf(
  { metrics }: AnswerDeps,
  { names: { segment: name }, appender }: GatewaySegment,
  append: LogAppend,
  trace: IngestTracer | undefined,
): Promise<AppendOutcome> {
  const appended = metrics.appendStarted(name, [append]);
  const traced = trace?.append(name, 1);
  const outcome = await appender.append([append]);
  appended(outcome.kind);
  traced?.(outcome.kind);
  if (outcome.kind === 'stored') metrics.accepted(name, 1);
  return outcome;
}

/** The event and its keys as the worker sees them. */
function seenBy(
  { clock }: AnswerDeps,
  { rule }: ServiceInForce,
  { shard, source, payload }: LogAppend,
): { readonly event: VisitorEvent; readonly keys: readonly EventKey[] } {
  const message = { shard, source, payload, sequence: 0, nowMs: clock.nowMs(), logId: '' };
  const parsed = parseMessage(message, rule.segment);
  invariant(parsed.kind === 'event', 'what was prepared is an event');
  return { event: { root: parsed.input.event.root, bytes: payload.length }, keys: parsed.input.keys.usable };
}

async function commitOf(box: ReplyBox, timeoutMs: number): Promise<CommitReply | undefined> {
  const body = (await box.collect(1, timeoutMs)).get(0);
  return body && (JSON.parse(Buffer.from(body).toString('utf8')) as CommitReply);
}

/** What was committed before the event. */
interface LookBack {
  /** Begins the read, unless it has begun. */
  read(): Promise<Profile | undefined>;
}

/** Begins by itself when much of the budget is gone, so that the answer is there when the rest is. */
function lookBack({ store }: GatewaySegment, keys: readonly EventKey[], budget: Budget): LookBack {
  let begun: Promise<Profile | undefined> | undefined;
  const read = () => {
    if (!begun) {
      begun = findVisitor(store, keys);
      // Whoever waits for it sees the failure; nobody may.
      begun.catch(() => {});
    }
    return begun;
  };
  budget.after(LOOK_BACK_PART, () => void read());
  return { read };
}

interface Waiting {
  readonly before: LookBack;
  readonly budget: Budget;
  /** What is told when there was no reply. */
  readonly missing: DegradedReason;
}

async function visitorOf(
  deps: AnswerDeps,
  { store }: GatewaySegment,
  commit: CommitReply | undefined,
  { before, budget, missing }: Waiting,
): Promise<{ readonly profile: Profile | undefined; readonly reasons: readonly DegradedReason[] }> {
  if (commit && commit.code === undefined) {
    if (commit.profileId === null) return { profile: undefined, reasons: [] };
    return ofWait(deps, await budget.within(committedProfile(store, commit.profileId, commit.record)), []);
  }
  const reason = commit ? 'event_not_applied' : missing;
  return ofWait(deps, await budget.within(before.read()), [reason]);
}

function ofWait(
  deps: AnswerDeps,
  waited: Waited<Profile | undefined>,
  reasons: readonly DegradedReason[],
): { readonly profile: Profile | undefined; readonly reasons: readonly DegradedReason[] } {
  if (waited.kind === 'came') return { profile: waited.value, reasons };
  if (waited.kind === 'failed') noteFailure(deps, waited.error);
  return { profile: undefined, reasons: [...reasons, 'profile_unavailable'] };
}

/** As the reply brings it, else read. A worker of a newer version may send what this program cannot read: then it rejects. */
async function committedProfile(
  store: GatewaySegment['store'],
  profileId: string,
  record: string | undefined,
): Promise<Profile | undefined> {
  return record === undefined
    ? readCommitted(store, profileId)
    : profileIn(profileId, Buffer.from(record, 'base64'));
}

/** A replica may not have the commit yet. */
async function readCommitted(
  store: GatewaySegment['store'],
  profileId: string,
): Promise<Profile | undefined> {
  const key = recordKeys.profile(profileId);
  const value = (await store.read([key], 'leader')).get(key)?.value;
  // It has become part of another one meanwhile.
  return (value ? profileIn(profileId, value) : undefined) ?? readProfile(store, { kind: 'id', profileId });
}

function profileIn(profileId: string, value: Uint8Array): Profile | undefined {
  const state = decodeRecord(recordKeys.profile(profileId), value);
  return state.kind === 'profile' ? state : undefined;
}
