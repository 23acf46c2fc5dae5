// Form of splits and merges by hand, and of the jobs that carry them out, as the OpenAPI document tells it.
import { Type } from 'typebox';

const ProfileRef = Type.Union([
  Type.String({ description: 'Profile id.' }),
  Type.Object({ key: Type.String(), value: Type.String() }),
]);

export const SplitBody = Type.Object(
  {
    profile: ProfileRef,
    keys: Type.Optional(
      Type.Record(Type.String(), Type.Array(Type.String()), { description: 'Keys that leave, by name.' }),
    ),
    undo: Type.Optional(
      Type.String({ description: 'Id of a profile that was merged into this one: it lives again.' }),
    ),
    reason: Type.Optional(Type.Enum(['split', 'removed'])),
    by: Type.Optional(Type.String({ description: 'Who asks; stands in the audit log.' })),
    allowIncomplete: Type.Optional(
      Type.Boolean({ description: 'Also when the log no longer reaches back to the beginning.' }),
    ),
  },
  {
    examples: [
      {
        profile: { key: 'customer_id', value: '17850' },
        keys: { email: ['bob@example.com'], anonymous_id: ['device-7'] },
        by: 'support',
      },
    ],
  },
);

export const MergeBody = Type.Object(
  {
    from: ProfileRef,
    into: ProfileRef,
    force: Type.Optional(Type.Boolean({ description: 'Also across the limit of a key.' })),
    by: Type.Optional(Type.String({ description: 'Who asks; stands in the audit log.' })),
  },
  {
    examples: [
      { from: { key: 'email', value: 'ann@old.org' }, into: { key: 'customer_id', value: '17850' } },
    ],
  },
);

export const RebuildBody = Type.Object(
  {
    profile: Type.Optional(ProfileRef),
    profiles: Type.Optional(
      Type.Array(Type.String(), { description: 'Ids of up to 5,000 profiles, in one reading of the log.' }),
    ),
    attributes: Type.Optional(
      Type.Array(Type.String(), { description: 'Only these; the others go on as they are.' }),
    ),
    by: Type.Optional(Type.String({ description: 'Who asks; stands in the audit log.' })),
    allowIncomplete: Type.Optional(
      Type.Boolean({ description: 'Also when the log no longer reaches back to the beginning.' }),
    ),
  },
  { examples: [{ profile: { key: 'customer_id', value: '17850' } }] },
);

export const JobAnswer = Type.Object(
  {
    id: Type.String(),
    kind: Type.Enum(['split', 'merge', 'rebuild']),
    state: Type.Enum(['running', 'done', 'refused', 'failed']),
    profileIds: Type.Array(Type.String(), { description: 'The profiles that it leaves.' }),
    by: Type.String(),
    askedAt: Type.String(),
    reason: Type.Optional(Type.String()),
    detail: Type.Optional(Type.String()),
    countedFrom: Type.Optional(Type.String({ description: 'Events before were gone and do not count.' })),
  },
  {
    examples: [
      {
        id: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b12',
        kind: 'split',
        state: 'done',
        profileIds: ['0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11', '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b12'],
        by: 'support',
        askedAt: '2026-11-22T10:15:00.000Z',
      },
    ],
  },
);
