// The form of a config file as a JSON Schema (draft 2020-12), for editors: made of the schema that files are checked
// against, with what each field means, the types of attributes told apart, and formats of our own as patterns. It is about
// form; whether names resolve and expressions compile `validate` tells.
import { ATTRIBUTE_SCHEMAS } from './attribute-schemas.ts';
import { DESTINATION_SCHEMAS } from './destination-schemas.ts';
import { FIELD_DESCRIPTIONS } from './field-descriptions.ts';
import { JourneySteps } from './journey-schemas.ts';
import { SegmentFile } from './schema.ts';

type Schema = Readonly<Record<string, unknown>>;

const DURATION = '[0-9]*[1-9][0-9]*(ms|s|m|h|d|w)';
const PATTERNS: Readonly<Record<string, { readonly pattern: string; readonly examples: readonly string[] }>> =
  {
    duration: { pattern: `^${DURATION}$`, examples: ['30m', '24h', '90d'] },
    duration_or_forever: { pattern: `^(forever|${DURATION})$`, examples: ['90d', 'forever'] },
    limit_in_window: { pattern: `^[1-9][0-9]{0,8}/${DURATION}$`, examples: ['5/30d'] },
  };

/** The schema of a segment config file. */
export function segmentJsonSchema(): Schema {
  const attributes = Object.entries(ATTRIBUTE_SCHEMAS).map(([type, schema]) =>
    render(plain(schema), ['attributes', type]),
  );
  const destinations = Object.entries(DESTINATION_SCHEMAS).map(([type, schema]) =>
    render(plain(schema), ['destinations', type]),
  );
  const file = render(plain(SegmentFile), []);
  const properties = file.properties as Readonly<Record<string, Schema>>;
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Stitchwork segment config',
    description: 'One parent segment: its keys, events, attributes, audiences and triggers.',
    ...file,
    $defs: { journeySteps: render(plain(JourneySteps), ['journeys', 'steps']) },
    properties: {
      ...properties,
      attributes: { ...properties.attributes, items: { oneOf: attributes } },
      destinations: { ...properties.destinations, items: { oneOf: destinations } },
    },
  };
}

/** What is said of the field at a path, its type left out where nothing is said of that one. */
export function descriptionOf(path: readonly string[]): string | undefined {
  const [section, , ...rest] = path;
  const exact = FIELD_DESCRIPTIONS[path.join('.')];
  if (exact !== undefined || (section !== 'attributes' && section !== 'destinations')) return exact;
  return FIELD_DESCRIPTIONS[[section, ...rest].join('.')];
}

/** As it is written to JSON: without what the library keeps beside it. */
function plain(schema: unknown): Schema {
  return JSON.parse(JSON.stringify(schema)) as Schema;
}

function render(schema: Schema, path: readonly string[]): Schema {
  const { format, properties, patternProperties, items, anyOf, ...rest } = schema;
  const parts: Record<string, unknown> = { ...rest, ...(typeof format === 'string' && PATTERNS[format]) };
  const named = (fields: unknown, nameOf: (name: string) => string) =>
    Object.fromEntries(
      Object.entries(fields as Readonly<Record<string, Schema>>).map(([name, field]) => [
        name,
        described(render(field, [...path, nameOf(name)]), [...path, nameOf(name)]),
      ]),
    );
  if (properties !== undefined) parts.properties = named(properties, (name) => name);
  if (patternProperties !== undefined) parts.patternProperties = named(patternProperties, () => '*');
  if (items !== undefined) parts.items = render(items as Schema, path);
  if (anyOf !== undefined) parts.anyOf = (anyOf as readonly Schema[]).map((one) => render(one, path));
  return parts;
}

function described(schema: Schema, path: readonly string[]): Schema {
  const description = descriptionOf(path);
  return description === undefined ? schema : { description, ...schema };
}
