// What a visitor is answered. Pure, in two steps, since rows of catalogs are read in between: which sections answer and what
// they look up, then the answer. What leaves by a public service is made of values without the sensitive ones.
import type { Withheld } from '../../shared/contract/config/personalization-config.ts';
import type { Expression, ExpressionContext } from '../../shared/contract/expression.ts';
import type { Profile } from '../profile/profile.ts';
import { variantOf } from '../profile/variants.ts';
import { profileContext } from '../profile/view.ts';
import type { LookupRule, SectionRule, ServiceRule } from './compile.ts';

/** Who is answered, and for what. */
export interface Visitor {
  /** With its rows of batch tables; undefined: nobody knows it. */
  readonly profile: Profile | undefined;
  /** The event as the worker sees it; undefined: it is only read. */
  readonly event: VisitorEvent | undefined;
  /** Usable stitching keys that came with the call, normalized. */
  readonly keys: Readonly<Record<string, string>>;
  readonly nowMs: number;
}

export interface VisitorEvent {
  readonly root: Readonly<Record<string, unknown>>;
  readonly bytes: number;
}

/** A row of a catalog, by the key that it is found by. */
export interface RowKey {
  readonly catalog: string;
  readonly key: string;
}

/** The values of a row; undefined: there is none, or it was not read. */
export type RowOf = (row: RowKey) => Readonly<Record<string, unknown>> | undefined;

export type SectionOutcome = 'match' | 'control' | 'fallback';

export interface Offer {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly audiences?: readonly string[];
  readonly variant?: string;
  /** It did not match, or the visitor is in a control group. */
  readonly fallback?: true;
}

export interface Offers {
  /** By section. */
  readonly offers: Readonly<Record<string, Offer>>;
  readonly outcomes: readonly { readonly section: string; readonly outcome: SectionOutcome }[];
  /** Sections that did not fit into the answer. */
  readonly omitted: readonly string[];
}

interface Pick {
  readonly rule: SectionRule;
  readonly outcome: SectionOutcome;
  readonly variant: string | undefined;
  readonly lookups: readonly PickedLookup[];
}

interface PickedLookup {
  readonly rule: LookupRule;
  readonly keys: readonly string[];
  readonly isList: boolean;
}

/** Sections that will answer, and what has to be read for that. */
export interface Selection {
  readonly rows: readonly RowKey[];
  compose(rowOf: RowOf): Offers;
}

const NOTHING: Readonly<Record<string, never>> = {};
/** Longer texts are no keys of rows. */
const ROW_KEY_CHARS_MAX = 1024;

/** Decides which sections answer. A visitor without a profile gets fallbacks alone. */
export function selectSections(service: ServiceRule, visitor: Visitor): Selection {
  const context = contextOf(service, visitor);
  const leaving = service.config.public ? withoutSensitive(context, service.segment.withheld) : context;
  const hits = visitor.event ? hitsOf(service, visitor.event, context.now) : NO_HITS;
  const picks = picksOf(service, (rule) => pickOf(rule, service, visitor, { context, leaving, hits }));
  const rows = picks.flatMap(({ lookups }) =>
    lookups.flatMap(({ rule: { catalog }, keys }) => keys.map((key) => ({ catalog, key }))),
  );
  return { rows, compose: (rowOf) => compose(service, picks, { leaving, visitor, rowOf }) };
}

const NO_HITS: ReadonlySet<string> = new Set();

/** Of `first` the one that matches, else the first fallback; of `all` every one that has something to say. */
function picksOf(
  { sections, config }: ServiceRule,
  pick: (rule: SectionRule) => Pick | undefined,
): readonly Pick[] {
  if (config.answer === 'all') return sections.flatMap((rule) => pick(rule) ?? []);
  let fallback: Pick | undefined;
  for (const rule of sections) {
    const picked = pick(rule);
    if (picked && picked.outcome !== 'fallback') return [picked];
    fallback ??= picked;
  }
  return fallback ? [fallback] : [];
}

interface Judged {
  readonly context: ExpressionContext;
  readonly leaving: ExpressionContext;
  readonly hits: ReadonlySet<string>;
}

/** Undefined: it says nothing to this visitor. */
function pickOf(
  rule: SectionRule,
  { segment, config: service }: ServiceRule,
  { profile }: Visitor,
  { context, leaving, hits }: Judged,
): Pick | undefined {
  const { config, on, when, lookups } = rule;
  const isCalled = on.size === 0 || [...on].some((event) => hits.has(event));
  if (!profile || !isCalled || (when && !isTrue(when, context))) {
    return rule.fallback && { rule, outcome: 'fallback', variant: undefined, lookups: [] };
  }
  const variant = variantOf(profile, segment.segment, service.name, config);
  if (variant?.control) return { rule, outcome: 'control', variant: variant.name, lookups: [] };
  const picked = lookups.map((each) => lookupOf(each, leaving));
  return { rule, outcome: 'match', variant: variant?.name, lookups: picked };
}

function lookupOf(rule: LookupRule, context: ExpressionContext): PickedLookup {
  const result = rule.by.evaluate(context);
  const value = result.kind === 'value' ? result.value : undefined;
  const isList = Array.isArray(value);
  const keys = [value].flat().flatMap((each) => {
    if (typeof each !== 'string' && typeof each !== 'number') return [];
    const key = String(each).trim();
    return key === '' || key.length > ROW_KEY_CHARS_MAX ? [] : [key];
  });
  return { rule, keys: [...new Set(keys)].slice(0, isList ? rule.max : 1), isList };
}

interface Composing {
  readonly leaving: ExpressionContext;
  readonly visitor: Visitor;
  readonly rowOf: RowOf;
}

/** In order, as long as there is room: one that does not fit is left out, and a smaller one behind it may stand. */
function compose(service: ServiceRule, picks: readonly Pick[], composing: Composing): Offers {
  const offers: Record<string, Offer> = {};
  const outcomes: { section: string; outcome: SectionOutcome }[] = [];
  const omitted: string[] = [];
  let bytes = 0;
  for (const pick of picks) {
    const { name } = pick.rule.config;
    const offer = offerOf(service, pick, composing);
    const size = Buffer.byteLength(JSON.stringify(offer)) + name.length + 4;
    if (bytes + size > service.config.answerBytes) {
      omitted.push(name);
      continue;
    }
    bytes += size;
    offers[name] = offer;
    outcomes.push({ section: name, outcome: pick.outcome });
  }
  return { offers, outcomes, omitted };
}

function offerOf(
  service: ServiceRule,
  { rule, outcome, variant, lookups }: Pick,
  { leaving, visitor, rowOf }: Composing,
): Offer {
  const isMatch = outcome === 'match';
  const template = isMatch ? (rule.variants.get(variant ?? '') ?? rule.returns) : rule.fallback;
  const context = isMatch ? { ...leaving, lookup: rowsOf(lookups, rowOf) } : leaving;
  const attributes = (template?.render(context) ?? NOTHING) as Offer['attributes'];
  const audiences = isMatch ? audiencesOf(service, rule, visitor) : undefined;
  return {
    attributes,
    ...(audiences && { audiences }),
    ...(variant !== undefined && { variant }),
    ...(!isMatch && { fallback: true }),
  };
}

function rowsOf(lookups: readonly PickedLookup[], rowOf: RowOf): Readonly<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const { rule, keys, isList } of lookups) {
    const rows = keys.flatMap((key) => {
      const values = rowOf({ catalog: rule.catalog, key });
      if (!values) return [];
      const shown = Object.entries(values).filter(([column]) => rule.columns.has(column));
      return [{ ...Object.fromEntries(shown), [rule.keyColumn]: key }];
    });
    if (isList) found[rule.name] = rows;
    else if (rows[0]) found[rule.name] = rows[0];
  }
  return found;
}

function audiencesOf(
  { segment, config: { public: isPublic } }: ServiceRule,
  { config: { audiences } }: SectionRule,
  { profile }: Visitor,
): readonly string[] | undefined {
  if (audiences === null) return undefined;
  const asked = audiences === 'all' ? segment.audiences.map(({ name }) => name) : audiences;
  const withheld = isPublic ? segment.withheld.audiences : [];
  return asked.filter((name) => profile?.audiences?.[name] !== undefined && !withheld.includes(name));
}

function contextOf(
  { segment, names }: ServiceRule,
  { profile, event, keys, nowMs }: Visitor,
): ExpressionContext {
  const root = event?.root ?? NOTHING;
  const bytes = event?.bytes ?? 0;
  const isIn = (name: string) => profile?.audiences?.[name] !== undefined;
  const audiences = Object.fromEntries(segment.audiences.map(({ name }) => [name, isIn(name)]));
  if (profile) return { ...profileContext(profile, segment, root, nowMs, names), audiences, bytes };
  const lists = Object.fromEntries(Object.entries(keys).map(([name, value]) => [name, [value]]));
  return { event: root, profile: NOTHING, keys, keys_all: lists, audiences, now: new Date(nowMs), bytes };
}

/** What may leave by a public service. */
function withoutSensitive(context: ExpressionContext, withheld: Withheld): ExpressionContext {
  const { attributes, columns, audiences } = withheld;
  if (attributes.length + columns.length + audiences.length === 0) return context;
  const profile: Record<string, unknown> = { ...context.profile };
  for (const name of attributes) delete profile[name];
  for (const path of columns) {
    const [table = '', column = ''] = path.split('.');
    if (profile[table] === undefined) continue;
    const { [column]: _, ...row } = profile[table] as Readonly<Record<string, unknown>>;
    profile[table] = row;
  }
  const told = Object.entries(context.audiences ?? {}).filter(([name]) => !audiences.includes(name));
  return { ...context, profile, audiences: Object.fromEntries(told) };
}

/** Key events see the event alone, here as at the worker. */
function hitsOf({ events }: ServiceRule, { root, bytes }: VisitorEvent, now: Date): ReadonlySet<string> {
  const keys = root.keys as Readonly<Record<string, string>>;
  const context = { event: root, profile: NOTHING, keys, keys_all: NOTHING, now, bytes };
  return new Set(events.filter(({ when }) => isTrue(when, context)).map(({ name }) => name));
}

/** A condition that cannot be evaluated does not hold. */
function isTrue(expression: Expression, context: ExpressionContext): boolean {
  const result = expression.evaluate(context);
  return result.kind === 'value' && result.value === true;
}
