// Payload templates: text with `{{ CEL }}` in it. Text that is one expression and nothing else keeps the value's type.
import { compileExpression, type Expression, type ExpressionContext } from './expression.ts';

type Part = string | Expression;

export interface Template {
  render(context: ExpressionContext): unknown;
}

export type CompiledTemplate =
  | { readonly kind: 'ok'; readonly template: Template }
  | { readonly kind: 'invalid'; readonly reason: string };

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
  if (text.includes('{%'))
    return { kind: 'invalid', reason: 'tags ({% %}) are not supported yet, only {{ }}' };
  const parts: Part[] = [];
  let end = 0;
  for (let open = text.indexOf('{{'); open >= 0; open = text.indexOf('{{', end)) {
    const placeholder = compilePlaceholder(text, open + 2);
    if (placeholder.kind === 'invalid') return placeholder;
    if (open > end) parts.push(text.slice(end, open));
    parts.push(placeholder.expression);
    end = placeholder.end;
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

/** The expression from `start` to the first closing braces that make it one: it may hold braces itself. */
function compilePlaceholder(
  text: string,
  start: number,
): { kind: 'ok'; expression: Expression; end: number } | { kind: 'invalid'; reason: string } {
  let reason = 'the closing }} is missing';
  for (let close = text.indexOf('}}', start); close >= 0; close = text.indexOf('}}', close + 1)) {
    const source = text.slice(start, close);
    const compiled = compileExpression(source.trim());
    if (compiled.kind === 'ok') return { kind: 'ok', expression: compiled.expression, end: close + 2 };
    if (reason === 'the closing }} is missing') reason = `{{${source}}}: ${compiled.reason}`;
  }
  return { kind: 'invalid', reason };
}

function resultOf(expression: Expression, context: ExpressionContext): unknown {
  const result = expression.evaluate(context);
  return result.kind === 'value' ? result.value : undefined;
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Every expression of a template of any JSON shape. */
export function expressionsOf(source: unknown): readonly string[] {
  if (typeof source === 'string')
    return [...source.matchAll(/\{\{([\s\S]*?)\}\}/g)].map((match) => match[1]!);
  return typeof source === 'object' && source !== null ? Object.values(source).flatMap(expressionsOf) : [];
}
