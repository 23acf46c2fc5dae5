// Decisions and attempts as lines for people.
import type { DeliveryEntry } from '../../shared/contract/delivery.ts';
import type { Activation } from '../../shared/contract/outbox.ts';
import { printable } from './fact-line.ts';
import type { Style } from './io.ts';

/** What is shown of an answer. */
const ANSWER_CHARS = 120;

export function attemptLine(entry: DeliveryEntry, style: Style): string {
  const {
    outcome,
    name,
    destination,
    attempt,
    status,
    latencyMs,
    error,
    reason,
    answer,
    nextAt,
    activationId,
  } = entry;
  const paint = outcome === 'delivered' ? style.green : outcome === 'failed' ? style.red : style.bold;
  const parts = [
    `${paint(outcome)} ${name} to ${destination}, activation ${printable(activationId)}, attempt ${attempt}`,
    status === undefined ? undefined : `status ${status}`,
    `${latencyMs} ms`,
    reason,
    error === undefined ? undefined : printable(error),
    outcome === 'delivered' || answer === undefined
      ? undefined
      : `"${printable(answer.slice(0, ANSWER_CHARS))}"`,
    nextAt === undefined ? undefined : `again at ${nextAt}`,
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}

export function decisionLine(
  activation: Pick<Activation, 'name' | 'profileId' | 'cause' | 'to'> & { readonly id: string },
  style: Style,
): string {
  const { name, profileId, cause, to = [], id } = activation;
  const where = to.length > 0 ? to.join(', ') : 'subscribers';
  return `${style.bold('decided')} ${name} for ${where}, activation ${printable(id)}, profile ${profileId}, because of ${printable(becauseOf(cause))}`;
}

function becauseOf({
  trigger,
  event,
  audience,
  change,
  journey,
  step,
  messageId,
}: Activation['cause']): string {
  const what = event ?? (audience === undefined ? undefined : `audience ${audience} ${change}`);
  const by = trigger ?? (journey === undefined ? undefined : `journey ${journey} at ${step}`);
  return [by, what, `message ${messageId}`].filter((part) => part !== undefined).join(', ');
}
