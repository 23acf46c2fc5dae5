// Shapes of the config routes, for checks, types and /openapi.json.
import { Type } from 'typebox';
import { TRY_EVENTS_DEFAULT, TRY_EVENTS_MAX } from '../config/try-stitching.ts';

const closed = { additionalProperties: false } as const;
const Version = Type.Integer({ minimum: 1, maximum: 2_147_483_647 });
const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const By = Type.String({ minLength: 1, maxLength: 200, description: 'Who does it, for the history.' });
const Note = Type.String({ maxLength: 1000, description: 'Why, for the history.' });

export const SegmentParams = Type.Object({
  segment: Type.String({ description: 'Parent segment.', examples: ['shop'] }),
});
export const VersionParams = Type.Object({ ...SegmentParams.properties, version: Version });

export const ConfigFormat = Type.Object(
  {
    format: Type.Optional(
      Type.Union([Type.Literal('yaml'), Type.Literal('json')], {
        description: 'yaml (default): the text as it was written; json: with everything about it.',
      }),
    ),
  },
  closed,
);
export const ChangeQuery = Type.Object(
  {
    dry_run: Type.Optional(Type.Boolean({ description: 'Only tells the problems and what would change.' })),
    note: Type.Optional(Note),
    by: Type.Optional(By),
  },
  closed,
);
const DiffFormat = Type.Optional(
  Type.Union([Type.Literal('json'), Type.Literal('text')], { description: 'json (default) or text.' }),
);
const Events = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: TRY_EVENTS_MAX,
    description: `When stitching changes: stitch the events among so many of the log's newest messages by both configs, and tell which profiles would join or part (${TRY_EVENTS_DEFAULT} is a good number).`,
  }),
);
export const DiffQuery = Type.Object(
  {
    from: Type.Optional(Type.Integer({ minimum: 1, description: 'Default: the version before `to`.' })),
    to: Type.Optional(Type.Integer({ minimum: 1, description: 'Default: the version in force.' })),
    events: Events,
    format: DiffFormat,
  },
  closed,
);
export const CandidateQuery = Type.Object({ events: Events, format: DiffFormat }, closed);

/** Of a rollback. */
export const RollbackBody = Type.Object(
  {
    to: Version,
    note: Type.Optional(Note),
    by: Type.Optional(By),
    if_version: Type.Optional(Version),
    dry_run: Type.Optional(Type.Boolean()),
  },
  { ...closed, examples: [{ to: 3, note: 'the new condition was wrong' }] },
);
export const RollbackRequest = { content: { 'application/json': { schema: RollbackBody } } };

const CONFIG_EXAMPLE = `segment: shop
stitching:
  keys:
    - { name: email, limit: 5, normalize: [trim, lowercase] }
events:
  - { name: viewed, when: 'event.name == "Product Viewed"' }
attributes:
  - { name: views, type: counter, on: viewed, windows: [7d] }
`;
/** Documents the body only: it is read by hand. */
export const ConfigBody = {
  content: {
    'text/yaml': { schema: Type.String({ description: 'The config file.', examples: [CONFIG_EXAMPLE] }) },
    'application/json': {
      schema: Type.Object(
        {},
        { additionalProperties: true, description: 'The same as JSON; see /v1/config/schema.json.' },
      ),
    },
  },
};

const History = {
  version: Type.Integer(),
  at: Type.String({ description: 'When it came into force.' }),
  by: Type.String(),
  note: Nullable(Type.String()),
  rollbackOf: Nullable(Type.Integer({ description: 'The version whose text it took over.' })),
};
const HISTORY_EXAMPLE = {
  version: 3,
  at: '2026-11-22T10:15:00.000Z',
  by: 'ann@desk',
  note: 'windows',
  rollbackOf: null,
};

export const ConfigAnswer = Type.Object(
  {
    segment: Type.String(),
    ...History,
    digest: Type.String(),
    yaml: Type.String({ description: 'The text as it was written.' }),
    config: Type.Unknown({ description: 'The same as a document.' }),
  },
  { description: 'A version of the config.' },
);
/** The text itself, or the document. */
export const ConfigAnswers = {
  description:
    'The version. As YAML, its number, time and author stand in ETag and X-Stitchwork-Config headers.',
  content: {
    'application/yaml': { schema: Type.String({ examples: [CONFIG_EXAMPLE] }) },
    'application/json': { schema: ConfigAnswer },
  },
};
export const VersionsAnswer = Type.Object(
  {
    segment: Type.String(),
    current: Type.Integer(),
    versions: Type.Array(Type.Object({ ...History, digest: Type.String(), textDigest: Type.String() })),
  },
  { description: 'The versions that are kept, newest first; the last 1,000 are.' },
);
export const ConfigsAnswer = Type.Object(
  { segments: Type.Array(Type.Object({ segment: Type.String(), ...History })) },
  {
    description: 'The version in force of each segment.',
    examples: [{ segments: [{ segment: 'shop', ...HISTORY_EXAMPLE }] }],
  },
);

const Problem = Type.Object({
  line: Type.Integer(),
  column: Type.Integer(),
  path: Type.String(),
  code: Type.String(),
  message: Type.String(),
  suggestion: Type.Optional(Type.String({ description: 'What was probably meant.' })),
});
const Change = Type.Object({
  kind: Type.Union([Type.Literal('added'), Type.Literal('removed'), Type.Literal('changed')]),
  section: Type.String(),
  name: Type.String(),
  fields: Type.Array(Type.Object({ field: Type.String(), before: Type.Unknown(), after: Type.Unknown() })),
  effect: Type.String({ description: 'What it means for profiles that exist.' }),
});
const Diff = Type.Object({
  changes: Type.Array(Change),
  stitching: Type.Boolean({ description: 'Whether events may be stitched to other profiles than before.' }),
});
export const ChangeAnswer = Type.Object(
  {
    segment: Type.String(),
    ...History,
    changed: Type.Boolean({ description: 'False: nothing was stored; the version is the one in force.' }),
    dryRun: Type.Boolean(),
    problems: Type.Array(Problem),
    diff: Nullable(Diff),
  },
  { description: 'The version in force, and what changed.' },
);
export const ValidateAnswer = Type.Object(
  {
    valid: Type.Boolean(),
    segment: Nullable(Type.String()),
    problems: Type.Array(Problem),
  },
  {
    description: 'Every problem at once.',
    examples: [{ valid: true, segment: 'shop', problems: [] }],
  },
);

const Group = Type.Object({
  events: Type.Integer(),
  keys: Type.Record(Type.String(), Type.Array(Type.String())),
});
const Regroupings = Type.Object({
  count: Type.Integer(),
  examples: Type.Array(Type.Object({ whole: Group, parts: Type.Array(Group), partCount: Type.Integer() }), {
    description: 'At most 20, with keys as they were sent.',
  }),
});
const Trial = Type.Object(
  {
    events: Type.Integer(),
    profiles: Type.Object({ before: Type.Integer(), after: Type.Integer() }),
    join: Regroupings,
    part: Regroupings,
    nobody: Type.Object({
      anyMore: Type.Integer({ description: 'Events that would identify nobody any more.' }),
      noMore: Type.Integer({ description: 'Events that would identify somebody.' }),
    }),
  },
  { description: 'The newest events stitched by both configs, each from nothing.' },
);
export const DiffAnswer = Type.Object(
  {
    segment: Type.String(),
    from: Type.Integer(),
    to: Nullable(Type.Integer({ description: 'Null: the text of the request.' })),
    diff: Diff,
    stitching: Nullable(Trial),
  },
  { description: 'What changes, and what that means for profiles that exist.' },
);
export const DiffAnswers = {
  description: 'What changes, and what that means for profiles that exist.',
  content: {
    'application/json': { schema: DiffAnswer },
    'text/plain': { schema: Type.String() },
  },
};
export const SchemaAnswer = Type.Object(
  {},
  { additionalProperties: true, description: 'JSON Schema, draft 2020-12.' },
);
