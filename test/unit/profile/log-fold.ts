// A profile actor over a log in shards that are applied independently of one another, each in order; and the part of a
// gateway that counts the sides of a split anew.

import { routingKeyFor } from '../../../actors/identity/keys.ts';
import type { Link, Profile } from '../../../actors/profile/profile.ts';
import type { Rebuilding } from '../../../actors/profile/rebuilding.ts';
import { idsOfLink, linksOfSide, Refold } from '../../../actors/profile/refold.ts';
import { compileRules } from '../../../actors/profile/rules.ts';
import type { ActorMessage } from '../../../shared/contract/actor.ts';
import {
  type CommandReply,
  type IdentityCommand,
  routedBy,
  type SplitFillCommand,
} from '../../../shared/contract/command.ts';
import type { LogEnvelope } from '../../../shared/contract/event.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { shardOf } from '../../../shared/contract/routing.ts';
import type { Sent } from '../../support/fold.ts';
import { type EventShape, eventOf, ProfileFold, T0 } from './harness.ts';

const SHARDS = 8;

export class LogFold extends ProfileFold {
  readonly log: ActorMessage[] = [];
  readonly #next = new Map<number, ActorMessage[]>();

  /** Appends an event to its shard, without applying it. */
  append(shape: EventShape, nowMs = T0): ActorMessage {
    const event = eventOf(shape);
    const shard = shardOf(routingKeyFor(this.config, event), SHARDS);
    return this.#append(shard, { v: 1, type: 'event', event }, nowMs);
  }

  appendCommand(command: IdentityCommand, id: string, nowMs = T0): ActorMessage {
    const at = new Date(nowMs).toISOString();
    const envelope = { v: 1, type: 'command', command, id, by: 'ann', at, replyTo: '_INBOX.test' } as const;
    return this.#append(shardOf(routedBy(command), SHARDS), envelope, nowMs);
  }

  #append(shard: number, envelope: LogEnvelope, nowMs: number): ActorMessage {
    const payload = Buffer.from(JSON.stringify(envelope));
    const sequence = this.log.length + 1;
    const message: ActorMessage = { shard, source: 'ingest', sequence, nowMs, payload, logId: 'log-1' };
    this.log.push(message);
    this.#next.set(shard, [...(this.#next.get(shard) ?? []), message]);
    return message;
  }

  /** Shards with something left to apply. */
  waiting(): readonly number[] {
    return [...this.#next].filter(([, messages]) => messages.length > 0).map(([shard]) => shard);
  }

  isWaiting(message: ActorMessage): boolean {
    return this.#next.get(message.shard)?.includes(message) ?? false;
  }

  /** Applies the next message of a shard; the reply of a command, if it was one. */
  applyNext(shard: number): CommandReply | undefined {
    const sent = this.apply(this.#next.get(shard)!.shift()!);
    const reply = sent.kind === 'applied' ? sent.apply.reply : undefined;
    return reply && (JSON.parse(Buffer.from(reply.body).toString('utf8')) as CommandReply);
  }

  /** Applies a shard up to a message. */
  applyTo(message: ActorMessage): CommandReply | undefined {
    for (;;) {
      const isLast = this.#next.get(message.shard)![0] === message;
      const reply = this.applyNext(message.shard);
      if (isLast) return reply;
    }
  }

  /** Applies everything up to a sequence, or to the end. */
  applyAll(upTo = Number.POSITIVE_INFINITY): void {
    for (const [shard, messages] of this.#next)
      while (messages[0] && messages[0].sequence <= upTo) this.applyNext(shard);
  }

  /** An event appended and applied at once, with all before it in its shard. */
  now(shape: EventShape, nowMs = T0): void {
    this.applyTo(this.append(shape, nowMs));
  }

  /** An event as it is, appended and applied at once. */
  logged(envelope: Extract<LogEnvelope, { type: 'event' }>, nowMs: number): Sent {
    const shard = shardOf(routingKeyFor(this.config, envelope.event), SHARDS);
    const message = this.#append(shard, envelope, nowMs);
    this.#next.get(shard)!.pop();
    return this.apply(message);
  }

  command(command: IdentityCommand, id: string, nowMs = T0): CommandReply {
    return this.applyTo(this.appendCommand(command, id, nowMs))!;
  }

  /** What the gateway appends for each side that is still to be filled, from the log up to a sequence. */
  fills(splitId: string, profileIds: readonly string[], upTo = this.log.length): readonly SplitFillCommand[] {
    return profileIds.flatMap((profileId) => {
      const profile = this.resolve(profileId);
      const isOurs = (part: Rebuilding) => part.splitId === splitId && part.profileId === profileId;
      const rebuilding = profile?.rebuilding?.find(isOurs);
      if (!profile || !rebuilding) return [];
      return [
        { kind: 'split_fill', splitId, profileId, ...this.#refold(profile, rebuilding, upTo) } as const,
      ];
    });
  }

  #refold(profile: Profile, rebuilding: Rebuilding, upTo: number) {
    const side = { profile, rebuilding };
    const links = new Map(
      linksOfSide(side).map((key) => [key, (this.records.get(key) as Link | undefined) ?? null]),
    );
    const ids = [...links.values()].flatMap((link) => (link ? idsOfLink(link) : []));
    const living = new Map(ids.flatMap((id) => this.#livingId(id)));
    const refold = new Refold(side, compileRules(this.config, 1, SHARDS), links, living);
    for (const message of this.log.slice(0, upTo)) refold.consider(message);
    return refold.result();
  }

  #livingId(id: string): readonly (readonly [string, string])[] {
    if (!this.records.has(recordKeys.profile(id))) return [];
    const profile = this.resolve(id);
    return profile ? [[id, profile.id]] : [];
  }

  /** A split from beginning to end. */
  split(command: Extract<IdentityCommand, { kind: 'split_begin' }>, id: string, nowMs = T0): CommandReply {
    const reply = this.command(command, id, nowMs);
    this.applyAll();
    for (const fill of this.fills(id, reply.profileIds)) this.command(fill, `${id}-${fill.profileId}`, nowMs);
    return reply;
  }
}
