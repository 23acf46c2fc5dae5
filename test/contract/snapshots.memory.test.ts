// Loads of snapshot tables over a store in memory, some of whose reads are as old as a replica's.
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { snapshotKeys } from '../../shared/contract/names.ts';
import { decodePage } from '../../shared/contract/snapshot-records.ts';
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
      pages: {
        async *stored(table, { generation }) {
          const prefix = snapshotKeys.page(table, generation, 0).slice(0, -1);
          const held = [...keys].filter((key) => key.startsWith(prefix)).map((key) => store.record(key));
          held.sort((a, b) => a.revision - b.revision);
          const pages = held.flatMap(({ key, value }) =>
            value ? [{ page: Number(key.slice(prefix.length)), rows: decodePage(value) }] : [],
          );
          for (let at = 0; at < pages.length; at += 20) yield pages.slice(at, at + 20);
        },
        async drop(table, generation) {
          const prefix = snapshotKeys.page(table, generation, 0).slice(0, -1);
          for (const key of [...keys].filter((name) => name.startsWith(prefix))) {
            const { revision } = store.record(key);
            keys.delete(key);
            if (revision > 0) await store.commit([{ kind: 'delete', key, expect: revision }]);
          }
        },
      },
      presence,
      clock: new JumpClock(),
      random,
      owner,
      by: owner,
      spoolFile: () => join(tmpdir(), `stitchwork-test-rows-${randomUUID()}`),
    }),
    kill: (owner) => void presence.there.delete(owner),
    close: async () => {},
  };
});
