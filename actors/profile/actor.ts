// The profile actor: the domain library behind the interface that the runtime knows.
import type {
  Actor,
  ActorMessage,
  Decision,
  OutboxEntry,
  RecordView,
  Reply,
} from '../../shared/contract/actor.ts';
import type { CommandReply } from '../../shared/contract/command.ts';
import type { JourneyConfig, SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { CommitReply } from '../../shared/contract/event.ts';
import { recordKeys, rowOfKey } from '../../shared/contract/names.ts';
import type { AuditEntry, AuditFact, AuditKind, DeadLetter } from '../../shared/contract/outbox.ts';
import { sha256Base64Url } from '../../shared/kernel/hash.ts';
import { settleMembers } from './audiences.ts';
import { decideCommand } from './commands/decide-command.ts';
import { decideEvent } from './decide-event.ts';
import { decideRow } from './decide-row.ts';
import { Draft } from './draft.ts';
import { decideTimer } from './expire.ts';
import { foreseeHolders } from './find-profiles.ts';
import type { CurrentRuns } from './join-batch.ts';
import { type ParsedMessage, parseMessage, readEnvelope } from './parse-message.ts';
import type { Profile } from './profile.ts';
import { decodeRecord, encodeRecord, type RecordState } from './record-codec.ts';
import { compileRules, type Rules } from './rules.ts';
import { stamped } from './stamps.ts';

/** An actor that decides by this config. The config must be one that `parseSegmentConfig` gave. */
export function createProfileActor(
  config: SegmentConfig,
  options: {
    readonly shards: number;
    readonly configVersion: number;
    readonly runs?: CurrentRuns;
    readonly formerJourneys?: readonly JourneyConfig[];
  },
): Actor<ParsedMessage> {
  const rules = compileRules(
    config,
    options.configVersion,
    options.shards,
    options.runs,
    options.formerJourneys,
  );
  return {
    configVersion: options.configVersion,
    parse: (message) => parseMessage(message, config),
    decide: (message, parsed, view) => decide(message, parsed, view, rules),
    foresee: (parsed, view) =>
      parsed.kind === 'event' || parsed.kind === 'link'
        ? foreseeHolders(view, parsed.input.keys.usable, parsed.input.linkKeys)
        : [],
    stamp: (state, messages, isSettled) => stamped(state as Profile, messages, isSettled),
    lifetimeMs: (_key, state) => lifetimeOf(state as RecordState, config),
    isForeign: (key) => rowOfKey(key) !== undefined,
    encode: encodeRecord,
    decode: decodeRecord,
    deadLetter: (message, reason) => deadLetter(message, reason, config.segment),
    refusal: (message, { code }) => {
      const envelope = readEnvelope(message.payload);
      if (envelope?.type !== 'event' && envelope?.type !== 'command') return undefined;
      if (envelope.replyTo === undefined) return undefined;
      if (envelope.type === 'command')
        return replyOf(envelope.replyTo, { commandId: envelope.id, profileIds: [], code });
      const { messageId } = envelope.event;
      return replyOf(envelope.replyTo, { messageId, profileId: null, code });
    },
  };
}

/** A link that leads to nobody only remembers who had the key: as long as an anonymous visitor is remembered. */
function lifetimeOf(state: RecordState, config: SegmentConfig): number | undefined {
  const isNobodys = state.kind === 'link' && state.profileId === null;
  return isNobodys ? (config.stitching.retention.anonymousMs ?? undefined) : undefined;
}

function decide(message: ActorMessage, parsed: ParsedMessage, view: RecordView, rules: Rules): Decision {
  const draft = new Draft(view, rules.shards);
  if (parsed.kind === 'timer') {
    const fired = decideTimer(draft, parsed.timer, message.nowMs, rules);
    if (fired.kind !== 'done') return fired;
    const facts = [...fired.facts];
    const need = settleMembers(draft, message.shard, facts);
    if (need) return need;
    audit(draft, message, rules, facts, parsed.timer.profileId, undefined);
    return draft.apply();
  }
  if (parsed.kind === 'row') {
    const cause = {
      id: `row:${message.sequence}-${sha256Base64Url(message.logId, 8)}`,
      nowMs: message.nowMs,
    };
    const decided = decideRow(draft, parsed.row, cause, rules);
    if (decided.kind !== 'done') return decided;
    const facts = [...decided.facts];
    const need = settleMembers(draft, message.shard, facts);
    if (need) return need;
    audit(draft, message, rules, facts, decided.profileId, undefined);
    return draft.apply();
  }
  if (parsed.kind === 'command') {
    const decided = decideCommand(draft, parsed.input, rules);
    if (decided.kind !== 'done') return decided;
    const facts = [...decided.facts];
    const need = settleMembers(draft, message.shard, facts);
    if (need) return need;
    audit(draft, message, rules, facts, decided.profileId, parsed.input.id);
    return parsed.replyTo === undefined
      ? draft.apply()
      : { ...draft.apply(), reply: replyOf(parsed.replyTo, decided.reply) };
  }
  const decided = decideEvent(draft, parsed.input, rules);
  if (decided.kind !== 'done') return decided;
  const { messageId } = parsed.input.event;
  const facts = [...decided.facts];
  const need = settleMembers(draft, message.shard, facts);
  if (need) return need;
  audit(draft, message, rules, facts, decided.profileId, messageId);
  const apply = draft.apply(decided.profileId);
  if (parsed.kind === 'link' || parsed.replyTo === undefined) return apply;
  const reply: CommitReply = { messageId, profileId: decided.belongsTo ?? null };
  const record = parsed.input.asks === undefined ? undefined : recordOf(draft, reply.profileId);
  return { ...apply, reply: replyOf(parsed.replyTo, record === undefined ? reply : { ...reply, record }) };
}

/** Larger ones are read by whoever wants them. */
const REPLIED_RECORD_BYTES_MAX = 128 * 1024;

/** The profile as it will be stored; undefined when it is not worth its bytes. */
function recordOf(draft: Draft, profileId: string | null): string | undefined {
  const key = profileId === null ? undefined : recordKeys.profile(profileId);
  const state = key === undefined ? undefined : draft.get(key);
  if (key === undefined || state?.kind !== 'profile') return undefined;
  const bytes = encodeRecord(key, state);
  if (bytes.length > REPLIED_RECORD_BYTES_MAX) return undefined;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

function replyOf(to: string, reply: CommitReply | CommandReply): Reply {
  return { to, body: Buffer.from(JSON.stringify(reply)) };
}

/** Weightiest first: the kind of an audit entry is that of its first fact in this order. */
const BY_WEIGHT: readonly AuditKind[] = [
  'config_applied',
  'profile_split',
  'profiles_merged',
  'profile_rebuilt',
  'key_evicted',
  'link_refused',
  'key_demoted',
  'profile_expired',
  'profile_added',
  'key_attached',
  'audience_entered',
  'audience_left',
  'journey_entered',
  'journey_left',
  'activation_suppressed',
  'activation_held',
  'key_rejected',
  'key_flagged',
  'condition_failed',
];

function audit(
  draft: Draft,
  message: ActorMessage,
  rules: Rules,
  facts: readonly AuditFact[],
  profileId: string | undefined,
  messageId: string | undefined,
): void {
  const kind = BY_WEIGHT.find((candidate) => facts.some((fact) => fact.kind === candidate));
  if (kind === undefined) return;
  for (const fact of facts) if (fact.kind === 'condition_failed') draft.flag('condition_failed');
  const entry: AuditEntry = {
    id: `${message.sequence}-${sha256Base64Url(message.logId, 8)}`,
    kind,
    segment: rules.config.segment,
    profileId,
    messageId,
    facts,
    at: new Date(message.nowMs).toISOString(),
    configVersion: rules.configVersion,
  };
  draft.audit(entry);
}

function deadLetter(
  message: ActorMessage,
  reason: { readonly code: string; readonly message: string },
  segment: string,
): OutboxEntry {
  const envelope = readEnvelope(message.payload);
  const letter: DeadLetter = {
    id: `${message.shard}.${message.sequence}`,
    segment,
    shard: message.shard,
    sequence: message.sequence,
    code: reason.code,
    message: reason.message,
    envelope,
    payloadBase64: envelope ? undefined : Buffer.from(message.payload).toString('base64'),
    at: new Date(message.nowMs).toISOString(),
  };
  return {
    key: recordKeys.dead(message.shard, message.sequence),
    value: Buffer.from(JSON.stringify(letter)),
  };
}
