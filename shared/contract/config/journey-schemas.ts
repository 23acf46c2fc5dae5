// The form of journeys in a config file.
import { Type } from 'typebox';
import { Duration, Name, oneOf, strict, Text } from './schema-parts.ts';
import { REENTRIES } from './segment-config.ts';
import { PriorityField } from './send-schemas.ts';

const Match = Type.Object({ on: Name, when: Type.Optional(Text) }, strict);
const Condition = Type.Object({ when: Text }, strict);
const Until = Type.Union([
  Match,
  Condition,
  Type.Object(
    { time: Type.String({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$' }), zone: Type.Optional(Text) },
    strict,
  ),
  Type.Object({ date: Text }, strict),
]);
const STEPS_MAX = 200;
const BRANCHES_MAX = 50;
const several = { minItems: 1, maxItems: BRANCHES_MAX };
/** Steps are nested: this is where the whole file has their form. */
const Steps = Type.Unsafe<readonly RawStep[]>({ $ref: '#/$defs/journeySteps' });
const Wait = Type.Object({ until: Until, at_most: Type.Optional(Duration) }, strict);
const Branch = Type.Union([
  Type.Object({ when: Text, steps: Steps }, strict),
  Type.Object({ else: Steps }, strict),
]);
const Part = Type.Object(
  { name: Name, percent: Type.Number({ minimum: 0, maximum: 100 }), steps: Steps },
  strict,
);
const Setting = Type.Record(Type.String(), Text, { minProperties: 1, maxProperties: 1 });

/** For `$defs` of the file. */
export const JourneySteps = Type.Array(
  Type.Object(
    {
      name: Type.Optional(Name),
      wait: Type.Optional(Type.Union([Duration, Wait])),
      decide: Type.Optional(Type.Array(Branch, several)),
      split: Type.Optional(Type.Array(Part, several)),
      activate: Type.Optional(Name),
      set: Type.Optional(Setting),
      jump: Type.Optional(Name),
      stage: Type.Optional(Name),
    },
    strict,
  ),
  { maxItems: STEPS_MAX },
);

export const Journey = Type.Object(
  {
    name: Name,
    enter: Type.Union([Match, Type.Object({ entered: Name }, strict)]),
    reentry: Type.Optional(oneOf(REENTRIES)),
    goal: Type.Optional(Match),
    exit: Type.Optional(
      Type.Array(Type.Union([Match, Condition, Type.Object({ stale: Duration }, strict)]), {
        maxItems: BRANCHES_MAX,
      }),
    ),
    state: Type.Optional(oneOf(['draft', 'launched'])),
    paused: Type.Optional(Type.Boolean()),
    ...PriorityField,
    steps: Steps,
  },
  strict,
);

export interface RawMatch {
  readonly on: string;
  readonly when?: string;
}

export type RawUntil =
  | RawMatch
  | { readonly when: string }
  | { readonly time: string; readonly zone?: string }
  | { readonly date: string };

export interface RawStep {
  readonly name?: string;
  readonly wait?: string | { readonly until: RawUntil; readonly at_most?: string };
  readonly decide?: readonly (
    | { readonly when: string; readonly steps: readonly RawStep[] }
    | { readonly else: readonly RawStep[] }
  )[];
  readonly split?: readonly {
    readonly name: string;
    readonly percent: number;
    readonly steps: readonly RawStep[];
  }[];
  readonly activate?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly jump?: string;
  readonly stage?: string;
}

export interface RawJourney {
  readonly name: string;
  readonly enter: RawMatch | { readonly entered: string };
  readonly reentry?: (typeof REENTRIES)[number];
  readonly goal?: RawMatch;
  readonly exit?: readonly (RawMatch | { readonly when: string } | { readonly stale: string })[];
  readonly state?: 'draft' | 'launched';
  readonly paused?: boolean;
  readonly priority?: number;
  readonly steps: readonly RawStep[];
}
