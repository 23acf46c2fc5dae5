// Liquid templates of destinations: checked with the config, rendered when something is delivered. Bounded in size, time
// and memory; they read what they are given and nothing else: no files, no other templates.
import { Liquid } from 'liquidjs';
import { errorText } from '../kernel/errors.ts';

/** How a value is written into the text around it. */
export type LiquidEscape = 'none' | 'url' | 'json' | 'html' | 'form';

export type LiquidRoots = Readonly<Record<string, unknown>>;

export interface LiquidText {
  /** The text with its values. Throws LiquidFailure. */
  render(roots: LiquidRoots): string;
  /** Of text that is one output and nothing else its value, with its type; else as `render`. Throws LiquidFailure. */
  value(roots: LiquidRoots): unknown;
  /** What it names, as paths from the root: `['payload', 'email']`. */
  readonly names: readonly (readonly string[])[];
}

export type CompiledLiquid =
  | { readonly kind: 'ok'; readonly text: LiquidText }
  | { readonly kind: 'invalid'; readonly reason: string };

/** A template that cannot be rendered with what it was given. */
export class LiquidFailure extends Error {}

/** Characters of one template. */
const TEMPLATE_CHARS_MAX = 64_000;
/** Characters of a rendered text. */
const RENDERED_CHARS_MAX = 1_000_000;
const RENDER_MS_MAX = 100;
const MEMORY_MAX = 10_000_000;
/** Tags that read other templates. */
const FOREIGN_TAGS = ['include', 'render', 'layout', 'block'] as const;

const ESCAPES: Readonly<Record<LiquidEscape, (value: unknown) => string>> = {
  none: textOf,
  url: (value) => encodeURIComponent(textOf(value).toWellFormed()),
  form: (value) => encodeURIComponent(textOf(value).toWellFormed()),
  json: (value) => (typeof value === 'string' ? JSON.stringify(value).slice(1, -1) : jsonOf(value)),
  html: (value) => textOf(value).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`),
};

const engines = new Map<LiquidEscape, Liquid>();

/** Compiles a template. Outputs are escaped as asked for; `| raw` writes one as it is. */
export function compileLiquid(source: string, escaping: LiquidEscape = 'none'): CompiledLiquid {
  const engine = engineOf(escaping);
  try {
    const parsed = engine.parse(source);
    const names = engine.globalVariableSegmentsSync(parsed).map((path) => path.map(String));
    const only = /^\s*\{\{-?((?:(?!\{\{|\}\}|\{%)[\s\S])*?)-?\}\}\s*$/.exec(source)?.[1];
    const render = (roots: LiquidRoots) => bounded(() => String(engine.renderSync(parsed, roots)));
    const value = (roots: LiquidRoots) =>
      only === undefined ? render(roots) : bounded(() => engine.evalValueSync(only, roots) ?? null);
    return { kind: 'ok', text: { render, value, names } };
  } catch (error) {
    return { kind: 'invalid', reason: reasonOf(error) };
  }
}

function engineOf(escaping: LiquidEscape): Liquid {
  const known = engines.get(escaping);
  if (known) return known;
  const engine = new Liquid({
    outputEscape: ESCAPES[escaping],
    strictFilters: true,
    ownPropertyOnly: true,
    templates: {},
    parseLimit: TEMPLATE_CHARS_MAX,
    renderLimit: RENDER_MS_MAX,
    memoryLimit: MEMORY_MAX,
    timezoneOffset: 0,
  });
  for (const tag of FOREIGN_TAGS) delete engine.tags[tag];
  engines.set(escaping, engine);
  return engine;
}

function bounded<T>(render: () => T): T {
  let result: T;
  try {
    result = render();
  } catch (error) {
    throw new LiquidFailure(reasonOf(error), { cause: error });
  }
  if (typeof result === 'string' && result.length > RENDERED_CHARS_MAX)
    throw new LiquidFailure(
      `the text has ${result.length} characters, and at most ${RENDERED_CHARS_MAX} are allowed`,
    );
  return result;
}

/** The engine's words, without the place in a file that there is not. */
function reasonOf(error: unknown): string {
  return errorText(error).replace(/, line:(\d+), col:(\d+)$/, ' (line $1, column $2 of the template)');
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? jsonOf(value) : String(value);
}

function jsonOf(value: unknown): string {
  return JSON.stringify(value ?? null) ?? 'null';
}
