// What membership promises (shared/ports/membership.ts). One suite for the in-memory one and for nats-server.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MemberReport, Membership } from '../../shared/ports/membership.ts';
import { eventuallyTrue } from './collector.ts';

/** The membership of one process, and ways for that process to fail. */
export interface MemberProcess {
  readonly membership: Membership;
  /** It ends without leaving. */
  crash(): Promise<void>;
  /** It stays connected and answers nothing. */
  hang(id: string): Promise<void>;
}

export interface MembershipWorld {
  member(): Promise<MemberProcess>;
  close(): Promise<void>;
}

const PROBE_MS = 300;

function report(id: string, shards: readonly number[] = []): MemberReport {
  return {
    id,
    startedAtMs: 1,
    shards,
    halted: [],
    lag: { 3: 7 },
    lastCommitAtMs: { 3: 5 },
    configVersion: 2,
  };
}

export function membershipContract(name: string, make: () => Promise<MembershipWorld>): void {
  describe(`membership: ${name}`, () => {
    let world: MembershipWorld;
    let asker: Membership;
    let other: MemberProcess;
    beforeEach(async () => {
      world = await make();
      asker = (await world.member()).membership;
      other = await world.member();
    });
    afterEach(async () => {
      await asker.leave();
      await world.close();
    });

    const members = async () => [...(await asker.members())].sort();

    it('lists who has joined, itself included, until they leave', async () => {
      expect(await members()).toEqual([]);
      await asker.join('a', () => report('a'));
      await other.membership.join('b', () => report('b'));
      expect(await members()).toEqual(['a', 'b']);
      await other.membership.leave();
      expect(await members()).toEqual(['a']);
      await asker.leave();
      expect(await members()).toEqual([]);
    });

    it('keeps listing a member that lives, longer than a heartbeat counts', async () => {
      await other.membership.join('b', () => report('b'));
      const until = performance.now() + 4000;
      await eventuallyTrue('four seconds pass', async () => {
        expect(await members()).toEqual(['b']);
        return performance.now() > until;
      });
      await other.membership.leave();
    });

    it('a live member answers with its report of that moment', async () => {
      let shards: readonly number[] = [1];
      await other.membership.join('b', () => report('b', shards));
      expect(await asker.probe('b', PROBE_MS)).toEqual({ kind: 'alive', report: report('b', [1]) });
      shards = [1, 2];
      expect(await asker.probe('b', PROBE_MS)).toEqual({ kind: 'alive', report: report('b', [1, 2]) });
      await other.membership.leave();
    });

    it('one that never was or has left is gone, known at once', async () => {
      expect(await asker.probe('nobody', 5000)).toEqual({ kind: 'gone' });
      await other.membership.join('b', () => report('b'));
      await other.membership.leave();
      const startMs = performance.now();
      expect(await asker.probe('b', 5000)).toEqual({ kind: 'gone' });
      expect(performance.now() - startMs).toBeLessThan(2500);
    });

    it('one that crashed is gone before its heartbeat ends, and then not listed', async () => {
      await asker.join('a', () => report('a'));
      await other.membership.join('b', () => report('b'));
      await other.crash();
      await eventuallyTrue(
        'it is gone',
        async () => (await asker.probe('b', PROBE_MS)).kind === 'gone',
        2000,
      );
      await eventuallyTrue('it is not listed', async () => (await members()).join() === 'a');
    });

    it('one that hangs is silent', async () => {
      await other.membership.join('b', () => report('b'));
      await other.hang('b');
      const startMs = performance.now();
      expect(await asker.probe('b', PROBE_MS)).toEqual({ kind: 'silent' });
      expect(performance.now() - startMs).toBeLessThan(PROBE_MS + 1500);
    });

    it('can join again under the same id', async () => {
      await other.membership.join('b', () => report('b', [1]));
      await other.membership.leave();
      await other.membership.join('b', () => report('b', [2]));
      expect(await members()).toEqual(['b']);
      expect(await asker.probe('b', PROBE_MS)).toMatchObject({ kind: 'alive', report: { shards: [2] } });
      await other.membership.leave();
    });
  });
}
