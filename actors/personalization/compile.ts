// Personalization services of a config, prepared for answering: every expression parsed once, sections in the order in which
// they are looked at, and which values of the profile they speak of.
import type { SectionConfig, ServiceConfig } from '../../shared/contract/config/personalization-config.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { Expression } from '../../shared/contract/expression.ts';
import { compileTemplate, type Template } from '../../shared/contract/template.ts';
import { invariant } from '../../shared/kernel/assert.ts';
import { expressionOf } from '../attributes/evaluate.ts';

export interface LookupRule {
  readonly name: string;
  readonly catalog: string;
  /** Column that holds the key. */
  readonly keyColumn: string;
  readonly columns: ReadonlySet<string>;
  readonly by: Expression;
  readonly max: number;
}

export interface SectionRule {
  readonly config: SectionConfig;
  readonly on: ReadonlySet<string>;
  readonly when: Expression | undefined;
  readonly lookups: readonly LookupRule[];
  readonly returns: Template;
  /** By name; those of a control group are not there. */
  readonly variants: ReadonlyMap<string, Template>;
  readonly fallback: Template | undefined;
}

export interface ServiceRule {
  readonly config: ServiceConfig;
  readonly segment: SegmentConfig;
  /** The highest priority first, else as they are written. */
  readonly sections: readonly SectionRule[];
  /** Key events that sections answer to, with what they ask of an event. */
  readonly events: readonly { readonly name: string; readonly when: Expression }[];
  /** Values of the profile that are spoken of; undefined: perhaps any. */
  readonly names: ReadonlySet<string> | undefined;
}

/** The services of a config by name. The config must have been parsed: what does not compile here is a bug. */
export function compileServices(segment: SegmentConfig): ReadonlyMap<string, ServiceRule> {
  return new Map(segment.personalization.map((config) => [config.name, serviceRule(config, segment)]));
}

function serviceRule(config: ServiceConfig, segment: SegmentConfig): ServiceRule {
  const sections = config.sections
    .map((section) => sectionRule(section, segment))
    .sort((a, b) => b.config.priority - a.config.priority);
  const asked = new Set(config.sections.flatMap(({ on }) => on));
  const events = segment.events
    .filter(({ name }) => asked.has(name))
    .map(({ name, when }) => ({ name, when: expressionOf(when) }));
  return { config, segment, sections, events, names: namesIn(config.sections) };
}

function sectionRule(config: SectionConfig, segment: SegmentConfig): SectionRule {
  const variants = config.split
    .filter(({ control }) => !control)
    .map(({ name, returns }) => [name, templateOf({ ...config.returns, ...returns })] as const);
  return {
    config,
    on: new Set(config.on),
    when: config.when === null ? undefined : expressionOf(config.when),
    lookups: config.lookups.map(({ name, catalog, by, max }): LookupRule => {
      const found = segment.catalogs.find((each) => each.name === catalog);
      invariant(found, `the lookup ${name} is of ${catalog}, which is not declared`);
      const columns = new Set(Object.keys(found.columns));
      return { name, catalog, keyColumn: found.key, columns, by: expressionOf(by), max };
    }),
    returns: templateOf(config.returns),
    variants: new Map(variants),
    fallback: config.fallback === null ? undefined : templateOf(config.fallback),
  };
}

function templateOf(source: unknown): Template {
  const compiled = compileTemplate(source);
  invariant(compiled.kind === 'ok', 'template does not compile');
  return compiled.template;
}

const NAMED = /(?<![.\w])profile\s*\.\s*\??\s*([a-zA-Z_]\w*)/g;
const WHOLE = /(?<![.\w])profile(?!\w)(?!\s*\.\s*\??\s*[a-zA-Z_])/;

/** What any text of the sections may name of the profile: rather too much than too little. */
function namesIn(sections: readonly SectionConfig[]): ReadonlySet<string> | undefined {
  const texts = textsOf(sections);
  if (texts.some((text) => WHOLE.test(text))) return undefined;
  return new Set(texts.flatMap((text) => [...text.matchAll(NAMED)].map((match) => match[1]!)));
}

function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
}
