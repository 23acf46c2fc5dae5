// Messages to subjects of the user's own.
import { errorText } from '../kernel/errors.ts';
import type { PublishOutcome, SubjectPublisher } from '../ports/subject-publisher.ts';
import type { NatsDoor } from './connect.ts';

export function createSubjectPublisher(door: NatsDoor): SubjectPublisher {
  return {
    async publish(subject, payload, { id, stored, deadlineMs }) {
      const headers = [['Nats-Msg-Id', id]] as const;
      if (stored) return storedBy(await door.request(subject, payload, { headers, timeoutMs: deadlineMs }));
      try {
        if (!door.publish(subject, payload, headers))
          return { kind: 'lost', reason: 'there is no connection' };
      } catch (error) {
        return { kind: 'refused', reason: errorText(error) };
      }
      // The server has answered what was asked after it, so it has it.
      const reply = await door.request(`$JS.API.INFO`, '', { timeoutMs: deadlineMs });
      return reply.kind === 'reply' ? { kind: 'published' } : { kind: 'lost', reason: reply.kind };
    },
  };
}

function storedBy(reply: Awaited<ReturnType<NatsDoor['request']>>): PublishOutcome {
  if (reply.kind === 'no_responders') return { kind: 'nobody', reason: 'no stream takes this subject' };
  if (reply.kind !== 'reply') return { kind: 'lost', reason: reply.kind };
  try {
    const { error, stream } = reply.msg.json<{ error?: { description: string }; stream?: string }>();
    if (error) return { kind: 'refused', reason: error.description };
    if (stream !== undefined) return { kind: 'published' };
  } catch {
    // Something that is no stream answered: told below.
  }
  return { kind: 'refused', reason: 'what answered is no stream' };
}
