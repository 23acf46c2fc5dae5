// Loads of snapshot tables over a store in memory, some of whose reads are as old as a replica's.
import { snapshotKeys } from '../../shared/contract/names.ts';
import { decodeSnapshotRecord, type StoredRow } from '../../shared/contract/snapshot-records.ts';
import { seededRandom } from '../../shared/kernel/random.ts';
import type { RecordStore, StoredRecord } from '../../shared/ports/record-store.ts';
import { FakeStore, JumpClock } from '../runtime/fakes.ts';
import { TestPresence } from '../unit/batch/rig.ts';
import { snapshotsContract } from './snapshots.contract.ts';

snapshotsContract('memory', async () => {
  const store = new FakeStore();
  const keys = new Set<string>();
  const presence = new TestPresence();
  const random = seededRandom(11);
  const older = new Map<string, StoredRecord>();
  const lagging: RecordStore = {
    async read(wanted, from) {
      const found = await store.read(wanted, from);
      if (from === 'leader') return found;
      return new Map(
        [...found].map(([key, record]) => [key, (random.next() < 0.3 && older.get(key)) || record]),
      );
    },
    keyAt: (sequence) => store.keyAt(sequence),
    async commit(writes) {
      const before = writes.map(({ key }) => store.record(key));
      const outcome = await store.commit(writes);
      if (outcome.kind === 'committed') for (const record of before) older.set(record.key, record);
      for (const { key } of writes) keys.add(key);
      return outcome;
    },
  };
  return {
    deps: (owner) => ({
      store: lagging,
      rows: {
        async *stored(table) {
          const prefix = snapshotKeys.row(table, '');
          const held = [...keys].filter((key) => key.startsWith(prefix)).map((key) => store.record(key));
          held.sort((a, b) => a.revision - b.revision);
          const rows = held.flatMap(({ key, value }) => {
            const encodedValue = key.slice(prefix.length);
            return value ? [{ encodedValue, row: decodeSnapshotRecord<StoredRow>(value) }] : [];
          });
          for (let at = 0; at < rows.length; at += 500) yield rows.slice(at, at + 500);
        },
      },
      presence,
      clock: new JumpClock(),
      random,
      owner,
      by: owner,
    }),
    kill: (owner) => void presence.there.delete(owner),
    close: async () => {},
  };
});
