// What the actor has counted of its decisions: what happened to identities, as the audit entry says it.
import { describe, expect, it } from 'vitest';
import { identityCounts } from '../../../actors/profile/identity-counts.ts';
import { AUDIT_KINDS, IDENTITY_KINDS } from '../../../shared/contract/outbox.ts';
import { configOf, ProfileFold } from './harness.ts';

describe('what of facts is counted', () => {
  it('those of identities, each', () => {
    const counted = identityCounts(AUDIT_KINDS.flatMap((kind) => [{ kind }, { kind }]));
    expect(counted.map(({ kind }) => kind).sort()).toEqual([...IDENTITY_KINDS, ...IDENTITY_KINDS].sort());
  });

  it('reasons that are codes; texts are none of their own', () => {
    const reasons = [undefined, 'junk', 'limit', 'moved', 'ann@example.com'];
    const counted = identityCounts(
      reasons.map((reason) => ({ kind: 'key_evicted', ...(reason && { reason }) })),
    );
    expect(counted.map(({ reason }) => reason)).toEqual(['none', 'junk', 'limit', 'moved', 'other']);
  });
});

it('a decision has counted what its audit entry tells of identities', () => {
  const fold = new ProfileFold(configOf());
  const countsOf = (keys: Record<string, string>) => {
    const sent = fold.send({ keys });
    if (sent.kind !== 'applied') throw new Error(sent.kind);
    return sent.apply.counts?.map(({ kind, reason }) => `${kind} ${reason}`);
  };
  expect(countsOf({ device: 'd1', customer_id: 'guest' })).toEqual([
    'key_rejected junk',
    'profile_added none',
    'key_attached none',
  ]);
  expect(countsOf({ device: 'd1' })).toBeUndefined();
  expect(countsOf({ device: 'd2', customer_id: 'c1' })?.length).toBe(3);
  expect(countsOf({ device: 'd1', customer_id: 'c1' })).toContain('profiles_merged none');
  expect(countsOf({ device: 'd1', customer_id: 'c2' })).toContain('link_refused limit');
});
