// Meaning of a well-formed config: names unique, references resolve, expressions and patterns compile.
import { RE2JS } from 're2js';
import { didYouMean } from '../../kernel/edit-distance.ts';
import { errorText } from '../../kernel/errors.ts';
import { compileExpression } from '../expression.ts';
import { compileTemplate } from '../template.ts';
import type { ConfigProblem } from './problem.ts';
import type { RawSegment } from './schema.ts';
import type { Path, SourceMap } from './source-map.ts';

/** Names that a stitching key cannot have, since addresses of the API use them. */
const RESERVED_KEYS = new Set(['id']);

export function checkMeaning(raw: RawSegment, source: SourceMap): readonly ConfigProblem[] {
  const check = new MeaningCheck(source);
  const { keys } = raw.stitching;
  check.unique(keys, ['stitching', 'keys']);
  keys.forEach((key, i) => {
    if (RESERVED_KEYS.has(key.name))
      check.at(['stitching', 'keys', i, 'name'], 'NAME', `'${key.name}' is reserved`);
    if (key.valid !== undefined) check.pattern(key.valid, ['stitching', 'keys', i, 'valid']);
  });
  for (const section of [
    'events',
    'audiences',
    'activations',
    'triggers',
    'journeys',
    'destinations',
  ] as const) {
    check.unique(raw[section] ?? [], [section]);
  }
  check.sharedNamespace(raw);
  const events = (raw.events ?? []).map(({ name }) => name);
  raw.events?.forEach(({ when }, i) => void check.expression(when, ['events', i, 'when']));
  raw.audiences?.forEach(({ when }, i) => void check.expression(when, ['audiences', i, 'when']));
  raw.attributes?.forEach((attribute, i) => void check.attribute(attribute, ['attributes', i], events));
  const destinations = (raw.destinations ?? []).map(({ name }) => name);
  raw.activations?.forEach((activation, i) => {
    if (activation.payload) check.template(activation.payload, ['activations', i, 'payload']);
    if (activation.to !== undefined && raw.destinations) {
      check.reference(activation.to, destinations, 'destination', ['activations', i, 'to']);
    }
  });
  const activations = (raw.activations ?? []).map(({ name }) => name);
  raw.triggers?.forEach(({ on, when, activate }, i) => {
    check.reference(on, events, 'key event', ['triggers', i, 'on']);
    if (when !== undefined) check.expression(when, ['triggers', i, 'when']);
    check.reference(activate, activations, 'activation', ['triggers', i, 'activate']);
  });
  const keyNames = keys.map(({ name }) => name);
  raw.batch?.tables.forEach(
    ({ key }, i) => void check.reference(key, keyNames, 'stitching key', ['batch', 'tables', i, 'key']),
  );
  return check.problems;
}

class MeaningCheck {
  readonly problems: ConfigProblem[] = [];
  readonly #source: SourceMap;

  constructor(source: SourceMap) {
    this.#source = source;
  }

  at(path: Path, code: ConfigProblem['code'], message: string, suggestion?: string): void {
    this.problems.push(this.#source.problem(path, code, message, { suggestion }));
  }

  unique(items: readonly { readonly name: string }[], path: Path): void {
    const seen = new Set<string>();
    items.forEach(({ name }, i) => {
      if (seen.has(name)) this.at([...path, i, 'name'], 'DUPLICATE', `'${name}' is declared twice`);
      seen.add(name);
    });
  }

  /** Attributes, their aggregates and batch tables are all `profile.<name>`. */
  sharedNamespace(raw: RawSegment): void {
    const taken = new Map<string, string>();
    const take = (name: string, what: string, path: Path) => {
      const before = taken.get(name);
      if (before) this.at(path, 'DUPLICATE', `'${name}' is the name of ${before} already`);
      else taken.set(name, what);
    };
    raw.attributes?.forEach((attribute, i) => {
      take(attribute.name, 'an attribute', ['attributes', i, 'name']);
      for (const name of Object.keys((attribute.aggregate as object | undefined) ?? {})) {
        take(name, 'an aggregate', ['attributes', i, 'aggregate', name]);
      }
    });
    raw.batch?.tables.forEach(
      ({ name }, i) => void take(name, 'a batch table', ['batch', 'tables', i, 'name']),
    );
  }

  attribute(
    attribute: NonNullable<RawSegment['attributes']>[number],
    path: Path,
    events: readonly string[],
  ): void {
    if (attribute.on !== undefined) this.reference(attribute.on, events, 'key event', [...path, 'on']);
    for (const field of ['value', 'by', 'id'] as const) {
      const text = attribute[field];
      if (typeof text === 'string') this.expression(text, [...path, field]);
    }
    if (attribute.type === 'counter' && attribute.total !== true && attribute.windows === undefined) {
      this.at(path, 'SHAPE', "a counter needs 'total: true', 'windows', or both");
    }
    for (const list of ['remove', 'clear'] as const) {
      const actions = attribute[list];
      if (!Array.isArray(actions)) continue;
      actions.forEach((action: { on: string; id?: string }, i) => {
        this.reference(action.on, events, 'key event', [...path, list, i, 'on']);
        if (action.id !== undefined) this.expression(action.id, [...path, list, i, 'id']);
      });
    }
  }

  reference(name: string, known: readonly string[], what: string, path: Path): void {
    if (known.includes(name)) return;
    this.at(path, 'REFERENCE', `there is no ${what} '${name}'`, didYouMean(name, known));
  }

  expression(text: string, path: Path): void {
    const compiled = compileExpression(text);
    if (compiled.kind === 'invalid') this.at(path, 'EXPRESSION', compiled.reason);
  }

  template(payload: unknown, path: Path): void {
    const compiled = compileTemplate(payload);
    if (compiled.kind === 'invalid') this.at(path, 'EXPRESSION', compiled.reason);
  }

  pattern(text: string, path: Path): void {
    try {
      RE2JS.compile(text);
    } catch (error) {
      this.at(path, 'PATTERN', `is not a linear-time regular expression (RE2): ${errorText(error)}`);
    }
  }
}
