// Meaning of a well-formed config: names unique, references resolve, expressions and patterns compile.
import { didYouMean } from '../../kernel/edit-distance.ts';
import { compileExpression, namedFields, namesRoot, type Root } from '../expression.ts';
import { compileTemplate, expressionsOf } from '../template.ts';
import { checkAttributes } from './check-attributes.ts';
import { checkDestinations } from './check-destinations.ts';
import { checkJourneys } from './check-journeys.ts';
import { checkLimits } from './check-limits.ts';
import { checkPersonalization } from './check-personalization.ts';
import { checkSending } from './check-sending.ts';
import { checkStitching } from './check-stitching.ts';
import type { ConfigProblem } from './problem.ts';
import { checkProtocols } from './read-protocols.ts';
import { checkCatalogs, checkTables } from './read-table.ts';
import type { RawSegment } from './schema.ts';
import type { Path, SourceMap } from './source-map.ts';

/** `isPartial`: of some keys only the name is known. */
export function checkMeaning(
  raw: RawSegment,
  source: SourceMap,
  isPartial = false,
): readonly ConfigProblem[] {
  const check = new MeaningCheck(source, raw);
  const { keys } = raw.stitching;
  check.unique(keys, ['stitching', 'keys']);
  for (const section of [
    'events',
    'audiences',
    'channels',
    'activations',
    'triggers',
    'journeys',
    'destinations',
  ] as const) {
    check.unique(raw[section] ?? [], [section]);
  }
  check.sharedNamespace(raw);
  checkLimits(raw, check);
  const events = namesOf(raw.events);
  raw.events?.forEach(({ when }, i) => void check.condition(when, ['events', i, 'when'], 'event'));
  raw.audiences?.forEach(({ when }, i) => void check.condition(when, ['audiences', i, 'when'], 'state'));
  checkAttributes(raw.attributes ?? [], events, raw.batch?.tables ?? [], check);
  checkSending(raw, check);
  checkJourneys(raw, check);
  checkDestinations(raw.destinations ?? [], (name) => knownTo(name, raw), check);
  checkTables(raw.batch?.tables ?? [], namesOf(keys), check);
  checkCatalogs(raw.catalogs ?? [], raw.batch?.tables ?? [], check);
  checkPersonalization(raw, check);
  checkProtocols(raw, namesOf(keys), check);
  return [...checkStitching(raw.stitching, source, isPartial), ...check.problems];
}

/** What the templates of a destination may name: keys, and fields of the payloads that go there. */
function knownTo(destination: string, { stitching, activations = [] }: RawSegment) {
  const sent = activations.filter(({ to }) => [to ?? []].flat().includes(destination));
  const payload = sent.flatMap((activation) => Object.keys(activation.payload ?? {}));
  return { keys: namesOf(stitching.keys), payload: sent.length > 0 ? payload : undefined };
}

function namesOf(items: readonly { readonly name: string }[] | undefined): readonly string[] {
  return (items ?? []).map(({ name }) => name);
}

/**
 * What an expression may speak of: the event alone, the profile alone, both, one item of a list; of a visitor who is answered
 * also the audiences, and in the answer what was looked up.
 */
export type Sees = 'event' | 'state' | 'profile' | 'item' | 'visitor' | 'answer';

const BLIND_TO: Readonly<Record<Sees, readonly Root[]>> = {
  event: ['profile', 'keys_all', 'item', 'audiences', 'lookup'],
  state: ['event', 'item', 'audiences', 'lookup'],
  profile: ['item', 'audiences', 'lookup'],
  item: ['event', 'profile', 'keys', 'keys_all', 'audiences', 'lookup'],
  visitor: ['item', 'lookup'],
  answer: ['item'],
};

const SEEN: Readonly<Record<Sees, string>> = {
  event: 'the event alone',
  state: 'the profile alone, not an event',
  profile: 'event and profile',
  item: 'one item of the list alone',
  visitor: 'event, profile, keys and audiences',
  answer: 'event, profile, keys, audiences and lookup',
};

export class MeaningCheck {
  readonly problems: ConfigProblem[] = [];
  readonly #source: SourceMap;
  readonly #keys: readonly string[];
  readonly #observed: readonly string[];
  readonly #attributes: readonly string[];
  readonly #audiences: readonly string[];

  constructor(source: SourceMap, raw: RawSegment) {
    this.#source = source;
    this.#keys = namesOf(raw.stitching.keys);
    this.#audiences = namesOf(raw.audiences);
    this.#observed = namesOf(raw.stitching.keys.filter((key) => key.observe_only === true));
    const aggregates = (raw.attributes ?? []).flatMap(({ aggregate }) =>
      Object.keys((aggregate as object) ?? {}),
    );
    this.#attributes = [...namesOf(raw.attributes), ...aggregates, ...namesOf(raw.batch?.tables)];
  }

  at(path: Path, code: ConfigProblem['code'], message: string, suggestion?: string): void {
    this.problems.push(this.#source.problem(path, code, message, { suggestion }));
  }

  unique(items: readonly { readonly name: string }[], path: Path): void {
    const seen = new Set<string>();
    items.forEach(({ name }, i) => {
      // Names become fields of objects: those that every object has are not free.
      if (name in Object.prototype) this.at([...path, i, 'name'], 'NAME', `'${name}' is reserved`);
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

  reference(name: string | undefined, known: readonly string[], what: string, path: Path): void {
    if (name === undefined || known.includes(name)) return;
    this.at(path, 'REFERENCE', `there is no ${what} '${name}'`, didYouMean(name, known));
  }

  /** An expression that is true or false. */
  condition(text: string | undefined, path: Path, sees: Sees): void {
    if (text === undefined) return;
    const type = this.expression(text, path, sees);
    if (type !== undefined && type !== 'bool' && type !== 'dyn') {
      this.at(path, 'EXPRESSION', `a condition is true or false, this is of type ${type}`);
    }
  }

  /** Returns the expression's type, undefined when it does not compile. */
  expression(text: string, path: Path, sees: Sees): string | undefined {
    const compiled = compileExpression(text);
    if (compiled.kind === 'invalid') {
      this.at(path, 'EXPRESSION', compiled.reason);
      return undefined;
    }
    this.#names(text, path, sees);
    return compiled.type;
  }

  template(payload: unknown, path: Path, sees: Sees = 'profile'): void {
    const compiled = compileTemplate(payload);
    if (compiled.kind === 'invalid') this.at(path, 'EXPRESSION', compiled.reason);
    else for (const text of expressionsOf(payload)) this.#names(text, path, sees);
  }

  /** Attributes and keys that an expression names and that nobody declared would silently never match. */
  #names(text: string, path: Path, sees: Sees): void {
    const unseen = BLIND_TO[sees].find((root) => namesRoot(text, root));
    if (unseen) {
      this.at(path, 'EXPRESSION', `${unseen} is not known here: this expression sees ${SEEN[sees]}`);
      return;
    }
    const fields = namedFields(text, 'profile');
    const all = namedFields(text, 'keys_all');
    for (const name of fields) {
      if (this.#attributes.includes(name)) continue;
      this.at(path, 'REFERENCE', `there is no attribute '${name}'`, didYouMean(name, this.#attributes));
    }
    for (const name of namedFields(text, 'audiences'))
      this.reference(name, this.#audiences, 'audience', path);
    for (const name of [...namedFields(text, 'keys'), ...all]) {
      if (this.#observed.includes(name))
        this.at(path, 'REFERENCE', `'${name}' is observe_only: expressions do not see it`);
      if (this.#keys.includes(name)) continue;
      this.at(path, 'REFERENCE', `there is no stitching key '${name}'`, didYouMean(name, this.#keys));
    }
  }
}
