// What events would do: every decision with its reason, the profiles at the end, and nothing else touched.
import { describe, expect, it } from 'vitest';
import type { RecordState } from '../../../actors/profile/record-codec.ts';
import { IdentitySimulation, SIMULATION_EVENTS_MAX } from '../../../actors/profile/simulate.ts';
import { configOf, eventOf, ProfileFold, T0 } from './harness.ts';

const config = configOf();
const over = (fold?: ProfileFold) =>
  new IdentitySimulation(config, T0, async (keys) => {
    return new Map(keys.map((key) => [key, (fold?.records.get(key) ?? null) as RecordState | null]));
  });

describe('a simulation', () => {
  it('tells whose each event is, and what it does to identities', async () => {
    const simulation = over();
    const send = (id: string, keys: Record<string, string>) => simulation.apply(eventOf({ id, keys }));
    const first = await send('a', { device: 'd1' });
    expect(first).toMatchObject({ index: 0, messageId: 'a', facts: [{ kind: 'profile_added' }, {}] });
    const known = await send('b', { device: 'd1', customer_id: 'c1' });
    expect(known.profileId).toBe(first.profileId);
    const other = await send('c', { device: 'd1', customer_id: 'c2' });
    expect(other.profileId).not.toBe(first.profileId);
    expect(other.facts).toContainEqual(expect.objectContaining({ kind: 'link_refused', reason: 'limit' }));
    expect((await send('d', { device: 'null' })).profileId).toBeNull();
    expect(simulation.profiles().map(({ keys }) => keys)).toEqual(
      expect.arrayContaining([{ device: ['d1'], customer_id: ['c1'] }, { customer_id: ['c2'] }]),
    );
  });

  it('starts from what is stored, and leaves it as it is', async () => {
    const fold = new ProfileFold(config);
    fold.send({ keys: { device: 'd1' } });
    fold.send({ keys: { customer_id: 'c1' } });
    const before = new Map(fold.records);
    const simulation = over(fold);
    const { profileId, facts } = await simulation.apply(
      eventOf({ keys: { customer_id: 'c1', device: 'd1' } }),
    );
    expect(profileId).toBe(fold.holder('customer_id', 'c1')!.id);
    expect(facts).toContainEqual(expect.objectContaining({ kind: 'profiles_merged', into: profileId }));
    expect(simulation.profiles()).toHaveLength(1);
    expect(fold.records).toEqual(before);
  });

  it('says the same twice', async () => {
    const run = async () => {
      const simulation = over();
      await simulation.apply(eventOf({ id: 'a', keys: { device: 'd1', email: 'ann@x' } }));
      return [await simulation.apply(eventOf({ id: 'b', keys: { email: 'ann@x' } })), simulation.profiles()];
    };
    expect(await run()).toEqual(await run());
  });

  it('has an end', async () => {
    const simulation = over();
    const event = eventOf({ id: 'a', keys: { device: 'd1' } });
    for (let i = 0; i < SIMULATION_EVENTS_MAX; i++) await simulation.apply(event);
    await expect(simulation.apply(event)).rejects.toThrow(String(SIMULATION_EVENTS_MAX));
  }, 60_000);
});
