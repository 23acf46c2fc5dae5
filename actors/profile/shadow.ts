// The profile actor of a shadow segment: the same decisions, at the times that the messages carry instead of the log's.
import type { Actor, ActorMessage } from '../../shared/contract/actor.ts';
import { readEnvelope } from './parse-message.ts';

interface Timed<Parsed> {
  readonly message: ActorMessage;
  readonly parsed: Parsed;
}

/** An actor whose clock is the events'. */
export function inShadow<Parsed>(actor: Actor<Parsed>): Actor<Timed<Parsed>> {
  const { foresee, ...rest } = actor;
  return {
    ...rest,
    parse: (original) => {
      const message = { ...original, nowMs: timeOf(original) };
      return { message, parsed: actor.parse(message) };
    },
    decide: (_, { message, parsed }, view) => actor.decide(message, parsed, view),
    ...(foresee && { foresee: ({ parsed }, view) => foresee.call(actor, parsed, view) }),
    deadLetter: (message, reason) => actor.deadLetter({ ...message, nowMs: timeOf(message) }, reason),
  };
}

function timeOf(message: ActorMessage): number {
  const envelope = readEnvelope(message.payload);
  const mark = envelope && 'shadow' in envelope ? envelope.shadow : undefined;
  return typeof mark?.nowMs === 'number' && Number.isSafeInteger(mark.nowMs) ? mark.nowMs : message.nowMs;
}
