// Payload templates: text with `{{ CEL }}` in it. Text that is one expression and nothing else keeps the value's type.
import { compileExpression, type Expression, type ExpressionContext } from './expression.ts';

type Part = string | Expression;

export interface Template {
  render(context: ExpressionContext): unknown;
}

export type CompiledTemplate =
  | { readonly kind: 'ok'; readonly template: Template }
  | { readonly kind: 'invalid'; readonly reason: string };

const PLACEHOLDER = /\{\{(.*?)\}\}/gs;

/** Compiles a template of any JSON shape; texts inside lists and objects are templates too. */
export function compileTemplate(source: unknown): CompiledTemplate {
  if (typeof source === 'string') return compileText(source);
  if (Array.isArray(source)) {
    return combine(source.map(compileTemplate), (values) => values);
  }
  if (typeof source === 'object' && source !== null) {
    const names = Object.keys(source);
    const build = (values: readonly unknown[]) =>
      Object.fromEntries(names.map((name, i) => [name, values[i]]));
    return combine(Object.values(source).map(compileTemplate), build);
  }
  return { kind: 'ok', template: { render: () => source } };
}

function combine(
  parts: readonly CompiledTemplate[],
  build: (values: readonly unknown[]) => unknown,
): CompiledTemplate {
  const templates: Template[] = [];
  for (const part of parts) {
    if (part.kind === 'invalid') return part;
    templates.push(part.template);
  }
  const render = (context: ExpressionContext) => build(templates.map((template) => template.render(context)));
  return { kind: 'ok', template: { render } };
}

function compileText(text: string): CompiledTemplate {
  const parts: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(PLACEHOLDER)) {
    const compiled = compileExpression(match[1]!.trim());
    if (compiled.kind === 'invalid')
      return { kind: 'invalid', reason: `{{${match[1]}}}: ${compiled.reason}` };
    if (match.index > end) parts.push(text.slice(end, match.index));
    parts.push(compiled.expression);
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push(text.slice(end));
  const [only] = parts;
  if (parts.length === 1 && typeof only === 'object') {
    return { kind: 'ok', template: { render: (context) => resultOf(only, context) ?? null } };
  }
  const render = (context: ExpressionContext) =>
    parts.map((part) => (typeof part === 'string' ? part : textOf(resultOf(part, context)))).join('');
  return { kind: 'ok', template: { render } };
}

function resultOf(expression: Expression, context: ExpressionContext): unknown {
  const result = expression.evaluate(context);
  return result.kind === 'value' ? result.value : undefined;
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
