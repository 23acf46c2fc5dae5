// Meaning of personalization services: what they refer to is there, expressions compile and see what they name, nothing
// sensitive is named where it would leave by a public service.

import { parseDurationMs } from '../../kernel/duration.ts';
import { didYouMean } from '../../kernel/edit-distance.ts';
import { expressionsOf } from '../template.ts';
import type { MeaningCheck } from './check-meaning.ts';
import { networkProblem } from './network.ts';
import {
  PERSONALIZATION_LIMITS as LIMITS,
  type RawLookup,
  type RawSection,
  type RawService,
} from './personalization-schemas.ts';
import type { RawSegment } from './schema.ts';
import { Sensitive } from './sensitive.ts';
import type { Path } from './source-map.ts';

/** What CEL can do with a list of rows, besides naming a column. */
const LIST_METHODS = ['map', 'filter', 'size', 'exists', 'exists_one', 'all', 'join', 'contains'] as const;

interface Known {
  readonly events: readonly string[];
  readonly audiences: readonly string[];
  /** Columns by catalog, its key among them. */
  readonly catalogs: ReadonlyMap<string, readonly string[]>;
  /** Undefined where what is sensitive may leave. */
  readonly sensitive: Sensitive | undefined;
}

const namesOf = (items: readonly { readonly name: string }[] | undefined) =>
  (items ?? []).map(({ name }) => name);

export function checkPersonalization(raw: RawSegment, check: MeaningCheck): void {
  const services = raw.personalization ?? [];
  const sensitive = new Sensitive(raw);
  const known = {
    events: namesOf(raw.events),
    audiences: namesOf(raw.audiences),
    catalogs: new Map(
      (raw.catalogs ?? []).map(({ name, key, attributes }) => [
        name,
        [key, ...Object.keys(attributes ?? {})],
      ]),
    ),
  };
  const seen = new Set<string>();
  services.forEach((service, i) => {
    const path: Path = ['personalization', i];
    if (seen.has(service.service))
      check.at([...path, 'service'], 'DUPLICATE', `'${service.service}' is declared twice`);
    seen.add(service.service);
    // Of one whose form is wrong nothing but the name is known.
    if (service.sections === undefined) return;
    checkAccess(service, path, check);
    check.unique(service.sections, [...path, 'sections']);
    const isPublic = service.public === true;
    const section = new SectionCheck({ ...known, sensitive: isPublic ? sensitive : undefined }, check);
    service.sections.forEach((each, j) => void section.run(each, [...path, 'sections', j]));
  });
}

/** Who may ask, from where, and how long it may take. */
function checkAccess(service: RawService, path: Path, check: MeaningCheck): void {
  const { tokens = [], origins, credentials, budget } = service;
  check.unique(tokens, [...path, 'tokens']);
  tokens.forEach(({ ips }, i) => {
    ips?.forEach((network, j) => {
      const problem = networkProblem(network);
      if (problem !== undefined) check.at([...path, 'tokens', i, 'ips', j], 'PATTERN', problem);
    });
  });
  if (origins && service.public !== true)
    check.at([...path, 'origins'], 'SHAPE', "only a public service has origins: say 'public: true'");
  origins?.forEach((origin, i) => void checkOrigin(origin, [...path, 'origins', i], check));
  if (credentials === true && !origins)
    check.at(
      [...path, 'credentials'],
      'SHAPE',
      "'credentials' needs 'origins': browsers refuse it for any page",
    );
  const ms = budget === undefined ? undefined : parseDurationMs(budget);
  if (ms !== undefined && (ms < LIMITS.budget_ms_min || ms > LIMITS.budget_ms_max))
    check.at(
      [...path, 'budget'],
      'LIMIT',
      `a budget is ${LIMITS.budget_ms_min}ms to ${LIMITS.budget_ms_max / 1000}s`,
    );
}

const ORIGIN = /^https?:\/\/(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:\d{1,5})?$/i;

function checkOrigin(origin: string, path: Path, check: MeaningCheck): void {
  if (ORIGIN.test(origin)) return;
  const whole = /^[a-z]+:\/\//i.test(origin) ? origin : `https://${origin}`;
  const meant = /^https?:\/\/[^/?#]+/i.exec(whole)?.[0];
  const suggestion = meant !== undefined && ORIGIN.test(meant) ? meant : undefined;
  const message = `'${origin}' is no origin: scheme and host, such as https://shop.example or https://*.shop.example`;
  check.at(path, 'PATTERN', message, suggestion);
}

class SectionCheck {
  readonly #known: Known;
  readonly #check: MeaningCheck;

  constructor(known: Known, check: MeaningCheck) {
    this.#known = known;
    this.#check = check;
  }

  run(section: RawSection, path: Path): void {
    const { on, when, lookup = {}, return: returns, audiences, split, fallback } = section;
    [on ?? []].flat().forEach((event, i) => {
      const at: Path = Array.isArray(on) ? [...path, 'on', i] : [...path, 'on'];
      this.#check.reference(event, this.#known.events, 'key event', at);
    });
    this.#check.condition(when, [...path, 'when'], 'visitor');
    for (const [name, one] of Object.entries(lookup)) this.#lookup(name, one, [...path, 'lookup', name]);
    if (returns === undefined && split === undefined && (audiences ?? false) === false)
      this.#check.at(path, 'SHAPE', "a section answers something: 'return', 'audiences' or 'split'");
    if (Array.isArray(audiences)) this.#audiences(audiences as readonly string[], [...path, 'audiences']);
    this.#fields(returns, lookup, [...path, 'return']);
    this.#fields(fallback, {}, [...path, 'fallback']);
    if (split) this.#split(split, lookup, [...path, 'split']);
  }

  #lookup(name: string, { catalog, by }: RawLookup, path: Path): void {
    if (!/^[a-z][a-z0-9_]{0,63}$/.test(name))
      this.#check.at(path, 'NAME', `'${name}' is not a name: a-z first, then up to 63 of a-z, 0-9 and _`);
    this.#check.reference(catalog, [...this.#known.catalogs.keys()], 'catalog', [...path, 'catalog']);
    this.#check.expression(by, [...path, 'by'], 'visitor');
    this.#leaves(by, [...path, 'by']);
  }

  #audiences(names: readonly string[], path: Path): void {
    names.forEach((name, i) => {
      this.#check.reference(name, this.#known.audiences, 'audience', [...path, i]);
      if (this.#known.sensitive?.hasAudience(name)) this.#sensitive(`audiences.${name}`, [...path, i]);
    });
  }

  #split(
    split: NonNullable<RawSection['split']>,
    lookup: Readonly<Record<string, RawLookup>>,
    path: Path,
  ): void {
    this.#check.unique(split, path);
    const total = split.reduce((sum, { percent }) => sum + percent, 0);
    if (Math.abs(total - 100) > 1e-6)
      this.#check.at(path, 'SHAPE', `the parts of a split add up to 100 percent, these to ${total}`);
    split.forEach(({ control, return: returns }, i) => {
      if (control === true && returns !== undefined)
        this.#check.at([...path, i, 'return'], 'SHAPE', "a control group gets the 'fallback' of the section");
      this.#fields(returns, lookup, [...path, i, 'return']);
    });
  }

  #fields(fields: RawSection['return'], lookup: Readonly<Record<string, RawLookup>>, path: Path): void {
    for (const [name, value] of Object.entries(fields ?? {})) {
      const at: Path = [...path, name];
      this.#check.template(value, at, 'answer');
      for (const source of expressionsOf(value)) {
        this.#leaves(source, at);
        this.#rows(source, lookup, at);
      }
    }
  }

  /** Look-ups and their columns that an expression names. */
  #rows(source: string, lookup: Readonly<Record<string, RawLookup>>, path: Path): void {
    const named = /(?<![.\w])lookup\s*\.\s*\??\s*(\w+)(?:\s*\.\s*\??\s*(\w+)\s*(\()?)?/g;
    for (const [, name = '', column, call] of source.matchAll(named)) {
      this.#check.reference(name, Object.keys(lookup), 'lookup', path);
      const columns = this.#known.catalogs.get(lookup[name]?.catalog ?? '');
      if (column === undefined || columns?.includes(column) !== false) continue;
      if (call !== undefined && LIST_METHODS.some((method) => method === column)) continue;
      const { catalog } = lookup[name]!;
      const message = `the catalog ${catalog} has no column '${column}'`;
      this.#check.at(path, 'REFERENCE', message, didYouMean(column, columns));
    }
  }

  #leaves(source: string, path: Path): void {
    const named = this.#known.sensitive?.namedBy(source);
    if (named !== undefined) this.#sensitive(named, path);
  }

  #sensitive(what: string, path: Path): void {
    const message = `${what} is sensitive, or made of what is: it never leaves by a public service`;
    this.#check.at(path, 'SENSITIVE', message);
  }
}
