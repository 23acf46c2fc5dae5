// Form of a config file: every deviation from the schema, each with its place and what was probably meant.
import { Ajv, type ErrorObject } from 'ajv';
import { parseDurationMs } from '../../kernel/duration.ts';
import { didYouMean } from '../../kernel/edit-distance.ts';
import { isPhoneRegion } from '../phone.ts';
import { ATTRIBUTE_SCHEMAS } from './attribute-schemas.ts';
import { DESTINATION_SCHEMAS, RATE_PATTERN, SECRET_PATTERN } from './destination-schemas.ts';
import type { ConfigProblem } from './problem.ts';
import { DATABASE_PATTERN } from './protocol-schemas.ts';
import { REGION_PATTERN, SegmentFile } from './schema.ts';
import type { Path, SourceMap } from './source-map.ts';

/** A hundred years: beyond any use, and far from the end of dates. */
const DURATION_MAX_MS = 36_500 * 86_400_000;
const isDuration = (text: string) => (parseDurationMs(text) ?? Number.POSITIVE_INFINITY) <= DURATION_MAX_MS;

const ajv = new Ajv({
  allErrors: true,
  strict: false,
  verbose: true,
  formats: {
    duration: isDuration,
    limit_in_window: (text: string) => {
      const [count = '', window = '', ...rest] = text.split('/');
      return /^[1-9]\d{0,8}$/.test(count) && isDuration(window) && rest.length === 0;
    },
    duration_or_forever: (text: string) => text === 'forever' || isDuration(text),
  },
});
const validateFile = ajv.compile(SegmentFile);
/** Sections whose items have a form by their type. */
const TYPED_SECTIONS = Object.entries({
  attributes: ATTRIBUTE_SCHEMAS,
  destinations: DESTINATION_SCHEMAS,
}).map(([section, schemas]) => ({
  section,
  validators: new Map(Object.entries(schemas).map(([type, schema]) => [type, ajv.compile(schema)])),
}));

/** Empty when the document has the form of a segment config. */
export function checkShape(source: SourceMap): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (!validateFile(source.value)) {
    for (const error of validateFile.errors ?? []) problems.push(...describe(source, [], error));
  }
  for (const { section, validators } of TYPED_SECTIONS) {
    for (const [index, item] of itemsOf(source.value, section).entries()) {
      const validate = validators.get(String(item?.type));
      if (!validate || validate(item)) continue;
      for (const error of validate.errors ?? []) problems.push(...describe(source, [section, index], error));
    }
  }
  return withoutRepeats(problems);
}

function itemsOf(value: unknown, section: string): readonly ({ type?: unknown } | null)[] {
  if (typeof value !== 'object' || value === null) return [];
  const items = (value as Readonly<Record<string, unknown>>)[section];
  return Array.isArray(items) ? items : [];
}

function describe(source: SourceMap, base: Path, error: ErrorObject): readonly ConfigProblem[] {
  const path = [...base, ...pathOf(error.instancePath)];
  if (KEY_LIMIT.test(error.instancePath)) return [limitProblem(source, path, error.data)];
  switch (error.keyword) {
    case 'additionalProperties': {
      const name = String(error.params.additionalProperty);
      const known = Object.keys((error.parentSchema as { properties?: object }).properties ?? {});
      const suggestion = didYouMean(name, known);
      const message = `there is no field '${name}' here; known: ${known.join(', ')}`;
      return [source.problem([...path, name], 'UNKNOWN_FIELD', message, { suggestion, atKey: true })];
    }
    case 'required':
      return [source.problem(path, 'SHAPE', `the field '${error.params.missingProperty}' is missing`)];
    case 'enum': {
      const allowed: string[] = error.params.allowedValues.map(String);
      const suggestion = didYouMean(String(error.data), allowed);
      return [source.problem(path, 'SHAPE', `must be one of ${allowed.join(', ')}`, { suggestion })];
    }
    case 'format': {
      const orForever = error.params.format === 'duration' ? '' : ', nor forever';
      const message = `'${String(error.data)}' is not a duration of up to 100 years (30s, 15m, 24h, 90d)${orForever}`;
      return [source.problem(path, 'DURATION', message)];
    }
    case 'pattern':
      return [patternProblem(source, path, error)];
    case 'type': {
      // One text or a list of them: what is wrong with the text is told.
      if (error.params.type === 'array' && typeof error.data === 'string' && /anyOf/.test(error.schemaPath))
        return [];
      const suggestion = quoted(error);
      const message = suggestion === undefined ? (error.message ?? 'is wrong') : 'must be text: quote it';
      return [source.problem(path, 'SHAPE', message, { suggestion })];
    }
    case 'anyOf':
    case 'if':
      return [];
    default:
      return [source.problem(path, 'SHAPE', `${error.message ?? 'is wrong'}`)];
  }
}

function patternProblem(source: SourceMap, path: Path, { params, data }: ErrorObject): ConfigProblem {
  const pattern = String(params.pattern);
  const upper = String(data).trim().toUpperCase();
  const suggestion = pattern === REGION_PATTERN && isPhoneRegion(upper) ? upper : undefined;
  const place = path[0] === 'personalization' ? 'gateway' : 'activator';
  return source.problem(path, 'SHAPE', `'${String(data)}' ${patternMeaning(pattern, place)}`, { suggestion });
}

const KEY_LIMIT = /^\/stitching\/keys\/\d+\/limit$/;
const UNITS: Readonly<Record<string, string>> = {
  second: 's',
  minute: 'm',
  hour: 'h',
  day: 'd',
  week: 'w',
};

/** A limit has two forms, and each of the schema's complaints speaks of one of them. */
function limitProblem(source: SourceMap, path: Path, data: unknown): ConfigProblem {
  const shown = typeof data === 'string' ? data : JSON.stringify(data);
  const message = `'${shown}' is not a limit: a whole number from 1, or with a window, as in 5/30d (values seen in the last 30 days)`;
  return source.problem(path, 'SHAPE', message, { suggestion: limitMeant(data) });
}

/** `5 / 30 days` -> `5/30d` */
function limitMeant(data: unknown): string | undefined {
  if (typeof data !== 'string') return undefined;
  const [, count = '', window, unit = ''] =
    /^([1-9]\d{0,8})(?:(?:\/|per|in)([1-9]\d{0,4})([a-z]+))?$/.exec(data.toLowerCase().replace(/\s+/g, '')) ??
    [];
  if (window === undefined) return count || undefined;
  const short = UNITS[unit.replace(/s$/, '')] ?? unit;
  return isDuration(`${window}${short}`) ? `${count}/${window}${short}` : undefined;
}

/** What YAML takes for a number, a truth value or nothing, where a text is asked for. */
function quoted({ params, data }: ErrorObject): string | undefined {
  const isScalar = data === null || typeof data === 'number' || typeof data === 'boolean';
  return params.type === 'string' && isScalar ? `'${String(data)}'` : undefined;
}

function patternMeaning(pattern: string, place: string): string {
  if (pattern.includes('a-z0-9-')) return 'is not a segment name: 1 to 32 of a-z, 0-9 and -';
  if (pattern.startsWith('^[a-z]')) return 'is not a name: a-z first, then up to 63 of a-z, 0-9 and _';
  if (pattern === DATABASE_PATTERN) return 'is not a name of a database: 3 to 255 of a-z, 0-9 and _';
  if (pattern === REGION_PATTERN) return 'is not a region: two capital letters such as DE or GB';
  if (pattern === RATE_PATTERN) return 'is not a rate such as 100/s, 50/m or 1000/h';
  if (pattern === SECRET_PATTERN)
    return `is no name of a secret: write \${CRM_SECRET} and set CRM_SECRET where the ${place} runs; configs are stored and shown`;
  if (pattern.includes('/')) return 'is not a cap such as 1/24h';
  return 'is not a span of time such as 22:00-08:00';
}

function pathOf(pointer: string): Path {
  if (pointer === '') return [];
  const parts = pointer.slice(1).split('/');
  return parts.map((part) =>
    /^\d+$/.test(part) ? Number(part) : part.replaceAll('~1', '/').replaceAll('~0', '~'),
  );
}

function withoutRepeats(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  const seen = new Set<string>();
  return problems.filter(({ path, message }) => {
    const key = `${path} ${message}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
