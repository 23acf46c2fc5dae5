// Shapes of the answer to "why are these one?" and "why are these not?".
import { Type } from 'typebox';
import { AuditFactShape } from './audit-schemas.ts';
import { IdentityAnswer, SegmentQuery } from './schemas.ts';

export const IdentityQuery = Type.Object(
  {
    ...SegmentQuery.properties,
    with: Type.Optional(
      Type.String({
        description: 'Another key, name:value: the answer is why the two are one profile, or why not.',
        examples: ['customer_id:17850'],
      }),
    ),
  },
  { additionalProperties: false },
);

const Key = Type.Object({ name: Type.String(), value: Type.String() });
const Node = Type.Union([Key, Type.Object({ profileId: Type.String() })]);

const Sides = Type.Array(
  Type.Object({
    name: Type.String(),
    value: Type.String(),
    profileId: Type.Union([Type.String(), Type.Null()], { description: 'Null: the key is of nobody.' }),
  }),
  { description: 'The two keys, as they are stored.' },
);

const Reach = Type.Object(
  {
    scanned: Type.Integer(),
    complete: Type.Boolean({ description: 'Everything that the audit log keeps and that matters was seen.' }),
    reachesBackTo: Type.Optional(Type.String()),
  },
  { description: 'What was searched of the audit log.' },
);

const Separation = Type.Object({
  kind: Type.String(),
  reason: Type.Optional(Type.String()),
  detail: Type.Optional(Type.String()),
  key: Type.Optional(Key),
  profileId: Type.Optional(Type.String({ description: 'Whose event it was.' })),
  heldBy: Type.Optional(Type.String()),
  messageId: Type.Optional(Type.String()),
  at: Type.String(),
});

const WhyOne = Type.Object(
  {
    one: Type.Literal(true),
    keys: Sides,
    chain: Type.Array(
      Type.Object({
        from: Node,
        to: Node,
        by: Type.Enum(['event', 'attached', 'merged', 'merged_by_hand', 'held'], {
          description:
            'event: it named both keys. Else the log no longer has the events: attached, an event gave the key to the profile; merged, one made two profiles one; held, the profile has the key.',
        }),
        messageId: Type.Optional(Type.String()),
        at: Type.Optional(Type.String()),
      }),
      { description: 'From the first key to the second, in the fewest steps.' },
    ),
    audit: Type.Optional(Reach),
  },
  { description: 'They are one profile.' },
);

const WhyTwo = Type.Object(
  {
    one: Type.Literal(false),
    keys: Sides,
    because: Type.Array(
      Type.Enum(['parted_by_hand', 'refused', 'key_left', 'limit', 'key_of_nobody', 'never_named_together']),
    ),
    refusals: Type.Array(Separation, { description: 'Events that named both sides, newest first.' }),
    partings: Type.Array(Separation, { description: 'How a key of one left the other, newest first.' }),
    apartSince: Type.Optional(Type.String({ description: 'They were parted by hand.' })),
    limits: Type.Array(Type.Object({ reason: Type.String(), detail: Type.String() }), {
      description: 'Limits that the two profiles together would break.',
    }),
    ifNamedNow: Type.Optional(
      Type.Object(
        { joined: Type.Boolean(), facts: Type.Array(AuditFactShape) },
        { description: 'What an event that names both would do now.' },
      ),
    ),
    audit: Reach,
  },
  { description: 'They are not.' },
);

export const IdentityOrWhyAnswer = Type.Union([IdentityAnswer, WhyOne, WhyTwo]);
