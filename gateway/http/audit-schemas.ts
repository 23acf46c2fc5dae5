// Shapes of what the audit log answers, for checks of queries and for /openapi.json.
import { Type } from 'typebox';
import { AUDIT_KINDS } from '../../shared/contract/outbox.ts';
import { SegmentQuery } from './schemas.ts';

const text = (description: string, example: string) =>
  Type.Optional(Type.String({ description, examples: [example] }));

export const AuditParametersQuery = Type.Object(
  {
    ...SegmentQuery.properties,
    profile: text(
      'Entries that name this profile. Of a retired id also those that name the profile it became part of.',
      '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11',
    ),
    key: text(
      'Entries with a fact about this stitching key (name:value), normalized as events are.',
      'email:ann@example.com',
    ),
    kind: text(
      `Entries with a fact of one of these kinds, comma-separated: ${AUDIT_KINDS.join(', ')}.`,
      'profiles_merged,link_refused',
    ),
    reason: text('Entries with a fact of one of these reasons, comma-separated.', 'limit'),
    from: text('Written at or after: ISO 8601, or how long ago.', '2h'),
    to: text('Written before: ISO 8601, or how long ago.', '2026-11-22T10:15:00Z'),
    messageId: text('The entry of this event.', 'm-1'),
    limit: text('Most entries of an answer: 1 to 1000, 100 when not given.', '100'),
    next: text('Goes on where an answer ended: its `next`, with the same parameters.', 'YXVkaXQuMTc'),
  },
  { additionalProperties: false },
);

export const AuditFactShape = Type.Object(
  {
    kind: Type.String(),
    reason: Type.Optional(Type.String({ description: 'A code.' })),
    detail: Type.Optional(Type.String({ description: 'The same in words.' })),
    key: Type.Optional(Type.Object({ name: Type.String(), value: Type.String() })),
  },
  { additionalProperties: true },
);

export const AuditAnswer = Type.Object(
  {
    segment: Type.String(),
    entries: Type.Array(
      Type.Object({
        id: Type.String(),
        kind: Type.String({ description: 'Of its weightiest fact.' }),
        at: Type.String({ description: 'When the log stored the message that it tells of.' }),
        writtenAt: Type.String({ description: 'When it was decided and copied: what from and to mean.' }),
        profileId: Type.Optional(Type.String()),
        messageId: Type.Optional(Type.String({ description: 'Of the event; of a command its id.' })),
        facts: Type.Array(AuditFactShape),
        configVersion: Type.Integer(),
      }),
      { description: 'Newest first.' },
    ),
    complete: Type.Boolean({
      description: 'False: older entries were not looked at yet; go on with `next`, also after no entries.',
    }),
    next: Type.Optional(Type.String()),
    scanned: Type.Integer({ description: 'Entries that were looked at.' }),
    profileIds: Type.Optional(
      Type.Array(Type.String(), {
        description: 'The ids that `profile` was taken for, the living one last.',
      }),
    ),
  },
  {
    description: 'What happened to identities and profiles, and why.',
    examples: [
      {
        segment: 'shop',
        entries: [
          {
            id: '4711-Zx4qYw',
            kind: 'link_refused',
            at: '2026-11-22T10:15:00.000Z',
            writtenAt: '2026-11-22T10:15:00.004Z',
            profileId: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11',
            messageId: 'm-1',
            facts: [
              {
                kind: 'link_refused',
                key: { name: 'anonymous_id', value: 'device-7' },
                reason: 'limit',
                detail: 'limit of 1 customer_id a profile',
                heldBy: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b12',
              },
            ],
            configVersion: 3,
          },
        ],
        complete: false,
        next: 'YXVkaXQuMTc',
        scanned: 812,
      },
    ],
  },
);
