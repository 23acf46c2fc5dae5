// What the audit log promises (shared/ports/audit-log.ts). One suite for the in-memory one and for nats-server.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditLog, AuditMessage } from '../../shared/ports/audit-log.ts';
import type { OutboxCopies } from '../../shared/ports/outbox-copies.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import { eventuallyTrue } from './collector.ts';

export interface AuditLogWorld {
  readonly store: RecordStore;
  readonly copies: OutboxCopies;
  readonly audit: AuditLog;
  /** Removes the oldest entries of the log, as age does; undefined: it cannot. */
  readonly expire: ((upTo: number) => Promise<void>) | undefined;
  close(): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = ({ payload }: AuditMessage) => new TextDecoder().decode(payload);
const MUCH = { messages: 1000, bytes: 1_000_000 };
const KINDS = ['profile_added', 'profiles_merged', 'link_refused'] as const;

export function auditLogContract(name: string, make: () => Promise<AuditLogWorld>): void {
  describe(`audit log: ${name}`, () => {
    let world: AuditLogWorld;
    beforeEach(async () => {
      world = await make();
    });
    afterEach(() => world.close());

    /** Writes entries `from` to `to - 1`, each with its number as its text, and waits until they are copied. */
    async function write(
      from: number,
      to: number,
      textOfEntry: (n: number) => string = String,
    ): Promise<void> {
      const numbers = Array.from({ length: to - from }, (_, index) => from + index);
      const outcome = await world.store.commit(
        numbers.map((n) => ({
          kind: 'append',
          key: `o.audit.${KINDS[n % KINDS.length]}.${n}`,
          value: bytes(textOfEntry(n)),
        })),
      );
      if (outcome.kind !== 'committed') throw new Error(JSON.stringify(outcome));
      await eventuallyTrue('the audit entries are copied', async () => {
        const states = await world.copies.states();
        return states.find((state) => state.name === 'audit')!.copiedTo >= outcome.revisions.at(-1)!;
      });
    }

    it('is empty before anything is audited', async () => {
      const end = await world.audit.end();
      expect(end).toBe(1);
      expect(await world.audit.end(Date.now())).toBe(1);
      expect(await world.audit.readBack(end, MUCH)).toEqual({ messages: [], from: 1, isLast: true });
    });

    it('is read backwards, every entry of any kind once', async () => {
      await write(0, 25);
      const seen: string[] = [];
      let before = await world.audit.end();
      for (let isLast = false; !isLast; ) {
        const page = await world.audit.readBack(before, { messages: 10, bytes: 1_000_000 });
        expect(page.messages.length).toBeLessThanOrEqual(10);
        expect(page.messages.every(({ sequence }) => sequence < before && sequence >= page.from)).toBe(true);
        seen.push(...page.messages.map(textOf));
        before = page.from;
        isLast = page.isLast;
      }
      expect(seen).toEqual(Array.from({ length: 25 }, (_, index) => String(24 - index)));
    });

    it('goes on where it was, whatever is added meanwhile', async () => {
      await write(0, 6);
      const first = await world.audit.readBack(await world.audit.end(), { messages: 3, bytes: 1_000_000 });
      await write(6, 9);
      const second = await world.audit.readBack(first.from, MUCH);
      expect([...first.messages, ...second.messages].map(textOf)).toEqual(['5', '4', '3', '2', '1', '0']);
      expect(second.isLast).toBe(true);
    });

    it('a page ends at its bytes, and holds at least one entry', async () => {
      await write(0, 6, (n) => String(n).repeat(100));
      const end = await world.audit.end();
      const page = await world.audit.readBack(end, { messages: 100, bytes: 250 });
      expect(page.messages.map((message) => textOf(message)[0])).toEqual(['5', '4']);
      expect(page).toMatchObject({ from: end - 2, isLast: false });
      const one = await world.audit.readBack(page.from, { messages: 100, bytes: 1 });
      expect(one.messages.map((message) => textOf(message)[0])).toEqual(['3']);
    });

    it('begins at a time', async () => {
      await write(0, 3);
      const older = await world.audit.readBack(await world.audit.end(), MUCH);
      const lastMs = older.messages[0]!.timeMs;
      await eventuallyTrue('time goes on', async () => Date.now() > lastMs + 5);
      await write(3, 5);
      const all = await world.audit.readBack(await world.audit.end(), MUCH);
      const times = all.messages.map(({ timeMs }) => timeMs);
      expect(times).toEqual([...times].sort((a, b) => b - a));
      const before = await world.audit.end(all.messages[1]!.timeMs);
      expect((await world.audit.readBack(before, MUCH)).messages.map(textOf)).toEqual(['2', '1', '0']);
      expect(await world.audit.end(times[0]! + 60_000)).toBe(await world.audit.end());
      expect(await world.audit.end(0)).toBe(1);
    });

    it('knows where it begins when the oldest are gone', async () => {
      await write(0, 10);
      if (!world.expire) return;
      await world.expire(6);
      const end = await world.audit.end();
      const page = await world.audit.readBack(end, { messages: 100, bytes: 1_000_000 });
      expect(page.messages.map(textOf)).toEqual(['9', '8', '7', '6']);
      expect(page.isLast).toBe(true);
      expect(await world.audit.readBack(page.from, MUCH)).toMatchObject({ messages: [], isLast: true });
      await world.expire(10);
      expect(await world.audit.readBack(await world.audit.end(), MUCH)).toMatchObject({ isLast: true });
    });
  });
}
