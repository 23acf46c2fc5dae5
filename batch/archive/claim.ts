// Who keeps the archive: a record written at the revision that its owner wrote last. A process that died is found out by
// asking it; one that hangs by asking it again. That is for speed: what keeps two apart is the revision, and the
// manifest's numbers.
import {
  type ArchiveRecord,
  decodeArchiveRecord,
  encodeArchiveRecord,
  NO_ARCHIVE,
} from '../../shared/contract/archive-record.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { Random } from '../../shared/kernel/random.ts';
import type { Presence } from '../../shared/ports/presence.ts';
import type { RecordStore, Revision } from '../../shared/ports/record-store.ts';

export interface ClaimDeps {
  readonly store: RecordStore;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Held {
  readonly record: ArchiveRecord;
  readonly revision: Revision;
}

const KEY = recordKeys.archive;
const ASK_TIMEOUT_MS = 1000;
/** A process that gives no answer is asked so many times before it is taken for hung. */
const ASKS_MAX = 3;
const WRITES_MAX = 10;

/** The record as it is now. Throws STORE_UNAVAILABLE. */
export async function readArchiveRecord(store: RecordStore): Promise<Held> {
  const stored = (await store.read([KEY], 'leader')).get(KEY);
  const record = stored?.value ? decodeArchiveRecord(stored.value) : NO_ARCHIVE;
  return { record, revision: stored?.revision ?? 0 };
}

/** Whether the owner of a record is another process that answers. */
export async function isHeld(
  deps: Pick<ClaimDeps, 'presence'>,
  { owner }: { readonly owner: string | null },
  self: string,
): Promise<boolean> {
  if (owner === null || owner === self) return false;
  for (let asks = 0; asks < ASKS_MAX; asks++) {
    const answer = await deps.presence.ask(owner, ASK_TIMEOUT_MS);
    if (answer === 'there') return true;
    if (answer === 'gone') return false;
  }
  return false;
}

/**
 * Writes the record in place of the one that is held. Undefined: somebody else wrote it. Throws STORE_UNAVAILABLE when
 * that cannot be told.
 */
export async function writeArchiveRecord(
  deps: ClaimDeps,
  held: Held,
  record: ArchiveRecord,
  signal: AbortSignal,
): Promise<Held | undefined> {
  const value = encodeArchiveRecord(record);
  for (let attempt = 0; attempt < WRITES_MAX; attempt++) {
    signal.throwIfAborted();
    const outcome = await deps.store.commit([{ kind: 'put', key: KEY, value, expect: held.revision }]);
    if (outcome.kind === 'committed') return { record, revision: outcome.revisions[0] ?? 0 };
    if (outcome.kind === 'conflict') {
      const now = await readArchiveRecord(deps.store);
      // An attempt without an answer was stored after all.
      const isOurs = now.record.owner === record.owner && now.record.epoch === record.epoch;
      return isOurs && now.record.position === record.position ? now : undefined;
    }
    await deps.clock.sleep(backoffMs(attempt, 20, 1000, deps.random), signal);
  }
  throw new StitchworkError('STORE_UNAVAILABLE', `${KEY} cannot be written`);
}
