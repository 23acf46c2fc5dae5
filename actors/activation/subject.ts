// Activations as messages to a NATS subject of the user's own, with the activation's id for streams that drop repeats.
import { fixedPart } from '../../shared/contract/config/check-destinations.ts';
import type { NatsConfig } from '../../shared/contract/config/destination-config.ts';
import { LiquidFailure } from '../../shared/contract/liquid.ts';
import { type Destination, type DestinationDeps, DestinationProblem } from './destination.ts';
import { Secrets } from './environment.ts';
import { dataTemplate, plainBody, rootsOf, textTemplate } from './render.ts';

const DEADLINE_MS = 5000;
const SUBJECT = /^[^\s.*>]+(\.[^\s.*>]+)*$/;

export function openSubject({ subject, body, stored }: NatsConfig, deps: DestinationDeps): Destination {
  const secrets = new Secrets(deps.environment);
  const source = secrets.fill(subject);
  const subjectOf = textTemplate(source, 'none');
  const fixed = fixedPart(source);
  const tokens = fixed.split('.').length;
  if (!SUBJECT.test(fixed.replace(/\.$/, '')))
    throw new DestinationProblem('the subject has no beginning of its own');
  const build = body === null ? undefined : dataTemplate(body, (text) => secrets.fill(text));
  return {
    async deliver(attempt) {
      try {
        const roots = rootsOf(attempt);
        const to = subjectOf(roots);
        const isPinned = to.startsWith(fixed) && to.split('.').length >= tokens;
        if (!SUBJECT.test(to) || !isPinned)
          throw new LiquidFailure('a value of the subject is empty, or holds spaces, * or >');
        const data = build ? build(roots) : plainBody(attempt);
        const payload = Buffer.from(typeof data === 'string' ? data : JSON.stringify(data));
        const options = { id: attempt.activation.id, stored, deadlineMs: DEADLINE_MS };
        const outcome = await deps.publisher.publish(to, payload, options);
        if (outcome.kind === 'published') return { kind: 'delivered' };
        return { kind: outcome.kind === 'refused' ? 'refused' : 'unavailable', error: outcome.reason };
      } catch (error) {
        if (error instanceof LiquidFailure) return { kind: 'rejected', error: error.message };
        throw error;
      }
    },
    close() {},
  };
}
