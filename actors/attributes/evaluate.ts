// Expressions over an event: what cannot be evaluated is no match, and is noted for the audit log.

import {
  compileExpression,
  type Expression,
  type ExpressionContext,
} from '../../shared/contract/expression.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { invariant } from '../../shared/kernel/assert.ts';
import type { Step } from './kind.ts';

/** The source must have been checked with its config: what does not compile here is a bug. */
export function expressionOf(source: string): Expression {
  const compiled = compileExpression(source);
  invariant(compiled.kind === 'ok', `expression does not compile: ${source}`);
  return compiled.expression;
}

/** Whether a condition holds; one that cannot be evaluated does not, and is noted. */
export function isTrue(
  expression: Expression,
  context: ExpressionContext,
  facts: AuditFact[],
  where: string,
): boolean {
  return resultOf(expression, context, facts, where) === true;
}

/** Undefined when a field is missing or it cannot be evaluated. */
export function resultOf(
  expression: Expression,
  context: ExpressionContext,
  facts: AuditFact[],
  where: string,
): unknown {
  const result = expression.evaluate(context);
  if (result.kind === 'value') return result.value;
  if (result.kind === 'failed') facts.push(failed(where, expression.source, result.reason));
  return undefined;
}

export function failed(where: string, expression: string, reason: string): AuditFact {
  return { kind: 'condition_failed', where, expression, reason };
}

/** As JSON, in bytes; of a text that is far below `limit` an upper bound. */
export function sizeOf(value: unknown, limit: number): number {
  if (typeof value === 'number' || typeof value === 'boolean') return 8;
  if (typeof value === 'string' && value.length * 6 < limit) return value.length * 6;
  return Buffer.byteLength(JSON.stringify(value));
}

/** The step, taken only by events that meet the condition. */
export function guarded(when: string | null, where: string, run: Step['run']): Step['run'] {
  if (when === null) return run;
  const condition = expressionOf(when);
  return (before, input) =>
    isTrue(condition, input.context, input.facts, `${where}.when`) ? run(before, input) : before;
}
