// Cache of committed records. Holds committed state only: what a micro-batch decided stays in its plan until the
// commit succeeds. May be stale when another worker wrote a record; the commit's expectations find that out.
import type { Actor } from '../../shared/contract/actor.ts';
import { errorText, StitchworkError } from '../../shared/kernel/errors.ts';
import type { RecordStore, Revision } from '../../shared/ports/record-store.ts';

export interface Resident {
  /** null: there is no such record. */
  readonly state: unknown;
  readonly revision: Revision;
  readonly bytes: number;
}

/** Memory of an entry beyond its stored bytes: key, map slot, decoded form. */
const OVERHEAD_BYTES = 256;

export class Residents {
  readonly #byKey = new Map<string, Resident>();
  readonly #bytesMax: number;
  #bytes = 0;
  #evicted = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The record, or undefined when it is not in memory. Marks it as used. */
  get(key: string): Resident | undefined {
    const found = this.#byKey.get(key);
    if (found) {
      this.#byKey.delete(key);
      this.#byKey.set(key, found);
    }
    return found;
  }

  /** Puts a committed record; an older revision than the one held is ignored. */
  put(key: string, resident: Resident): void {
    const old = this.#byKey.get(key);
    if (old) {
      if (old.revision > resident.revision) return;
      this.#bytes -= old.bytes + OVERHEAD_BYTES;
      this.#byKey.delete(key);
    }
    this.#byKey.set(key, resident);
    this.#bytes += resident.bytes + OVERHEAD_BYTES;
  }

  drop(key: string): void {
    const old = this.#byKey.get(key);
    if (!old) return;
    this.#bytes -= old.bytes + OVERHEAD_BYTES;
    this.#byKey.delete(key);
  }

  /** Evicts the least recently used until the bound holds. Called between micro-batches only. */
  trim(): void {
    for (const [key, resident] of this.#byKey) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#byKey.delete(key);
      this.#bytes -= resident.bytes + OVERHEAD_BYTES;
      this.#evicted++;
    }
  }

  /** How much is held, and how many were evicted since this was last asked. */
  measure(): { count: number; bytes: number; evicted: number } {
    const evicted = this.#evicted;
    this.#evicted = 0;
    return { count: this.#byKey.size, bytes: this.#bytes, evicted };
  }
}

/** Reads records into memory. `leader` replaces what is held; `replica` only fills what is missing. */
export async function loadResidents(
  residents: Residents,
  store: RecordStore,
  actor: Actor,
  keys: readonly string[],
  from: 'replica' | 'leader',
): Promise<void> {
  const records = await store.read(keys, from);
  for (const key of keys) {
    const record = records.get(key);
    if (from === 'leader') residents.drop(key);
    if (!record || record.value === null) {
      residents.put(key, { state: null, revision: record?.revision ?? 0, bytes: 0 });
    } else {
      const state = decodeOrMark(actor, key, record.value);
      residents.put(key, { state, revision: record.revision, bytes: record.value.length });
    }
  }
}

/** Stands for a record whose bytes cannot be read: every message that needs it becomes a dead letter. */
export class DamagedRecord {
  readonly error: StitchworkError;

  constructor(key: string, cause: unknown) {
    this.error = new StitchworkError('RECORD_DAMAGED', `record ${key} cannot be read: ${errorText(cause)}`, {
      cause,
    });
  }
}

function decodeOrMark(actor: Actor, key: string, bytes: Uint8Array): unknown {
  try {
    return actor.decode(key, bytes);
  } catch (error) {
    return new DamagedRecord(key, error);
  }
}
