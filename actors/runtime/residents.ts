// Cache of committed records. Holds committed state only: what a micro-batch decided stays in its plan until the
// commit succeeds. May be stale when another worker wrote a record; the commit's expectations find that out.
import type { Actor } from '../../shared/contract/actor.ts';
import { errorText, StitchworkError } from '../../shared/kernel/errors.ts';
import type { RecordStore, Revision, StoredRecord } from '../../shared/ports/record-store.ts';

/** A record as it was committed. */
export interface CommittedRecord {
  /** The stored form; null: there is no such record. */
  readonly bytes: Uint8Array | null;
  readonly revision: Revision;
  /** What the bytes mean; undefined: not decoded yet. */
  readonly state: unknown;
  /** The load that read it; left out for one that this worker wrote over what it had. */
  readonly loadedAt?: number;
}

export interface Resident {
  /**
   * The stored form, a byte a character; null: there is no such record. A string is one object without references, which
   * the garbage collector need not look into, and takes a tenth of the memory of what it means.
   */
  readonly stored: string | null;
  readonly revision: Revision;
  /** Number of the load that it, or what it was made from, was read by. */
  readonly loadedAt: number;
  /** What it means, as long as it was used of late. */
  state: unknown;
}

/** Memory of an entry beyond its stored bytes: key, map slot, array. */
const OVERHEAD_BYTES = 256;
/** Records that are kept decoded, at most, between plans. */
const DECODED_MAX = 4096;

const sizeOf = ({ stored }: Resident) => (stored?.length ?? 0) + OVERHEAD_BYTES;

/**
 * Two generations stand in for an order of use, which would cost a write a read. What is used moves to the young one.
 * When the bound is reached, the old one is evicted bit by bit; when nothing is left of it, the young one becomes old.
 */
export class Residents {
  #young = new Map<string, Resident>();
  #old = new Map<string, Resident>();
  #youngBytes = 0;
  #oldBytes = 0;
  readonly #bytesMax: number;
  readonly #decode: (key: string, bytes: Uint8Array) => unknown;
  /** In the order of decoding. */
  readonly #decoded = new Set<Resident>();
  #evicted = 0;
  #loads = 0;

  /** `decode` gives the state of a stored form; it must not throw. */
  constructor(bytesMax: number, decode: (key: string, bytes: Uint8Array) => unknown) {
    this.#bytesMax = bytesMax;
    this.#decode = decode;
  }

  /** The record's state, null when there is none, undefined when it is not in memory. The same object until `trim`. */
  stateOf(key: string): unknown {
    const resident = this.get(key);
    if (!resident) return undefined;
    if (resident.state === undefined) {
      const { stored } = resident;
      resident.state = stored === null ? null : this.#decode(key, Buffer.from(stored, 'latin1'));
      this.#decoded.add(resident);
    }
    return resident.state;
  }

  /** The record, or undefined when it is not in memory. Marks it as used. */
  get(key: string): Resident | undefined {
    const young = this.#young.get(key);
    if (young) return young;
    const old = this.#old.get(key);
    if (!old) return undefined;
    this.#old.delete(key);
    this.#oldBytes -= sizeOf(old);
    this.#addYoung(key, old);
    return old;
  }

  /** Puts a committed record; an older revision than the one held is ignored. */
  put(key: string, { bytes, revision, state, loadedAt }: CommittedRecord): void {
    const held = this.#young.get(key) ?? this.#old.get(key);
    if (held && held.revision > revision) return;
    const resident: Resident = {
      stored: bytes && asText(bytes),
      revision,
      loadedAt: loadedAt ?? held?.loadedAt ?? 0,
      state,
    };
    this.drop(key);
    this.#addYoung(key, resident);
    if (resident.state !== undefined) this.#decoded.add(resident);
  }

  drop(key: string): void {
    const young = this.#young.get(key);
    if (young) {
      this.#young.delete(key);
      this.#decoded.delete(young);
      this.#youngBytes -= sizeOf(young);
    }
    const old = this.#old.get(key);
    if (old) this.#dropOld(key, old);
  }

  /** Evicts until the bound holds. Called between plans only: what a plan relies on stays. */
  trim(): void {
    for (const resident of this.#decoded) {
      if (this.#decoded.size <= DECODED_MAX) break;
      resident.state = undefined;
      this.#decoded.delete(resident);
    }
    while (this.#youngBytes + this.#oldBytes > this.#bytesMax) {
      if (this.#old.size === 0) this.#age();
      for (const [key, resident] of this.#old) {
        this.#dropOld(key, resident);
        this.#evicted += 1;
        if (this.#youngBytes + this.#oldBytes <= this.#bytesMax) return;
      }
    }
  }

  /** Number of the newest load. */
  get loads(): number {
    return this.#loads;
  }

  beginLoad(): number {
    this.#loads += 1;
    return this.#loads;
  }

  /** How much is held, and how many were evicted since this was last asked. */
  measure(): { count: number; bytes: number; evicted: number } {
    const evicted = this.#evicted;
    this.#evicted = 0;
    return { count: this.#young.size + this.#old.size, bytes: this.#youngBytes + this.#oldBytes, evicted };
  }

  #age(): void {
    this.#old = this.#young;
    this.#oldBytes = this.#youngBytes;
    this.#young = new Map();
    this.#youngBytes = 0;
  }

  #addYoung(key: string, resident: Resident): void {
    this.#young.set(key, resident);
    this.#youngBytes += sizeOf(resident);
  }

  #dropOld(key: string, old: Resident): void {
    this.#old.delete(key);
    this.#decoded.delete(old);
    this.#oldBytes -= sizeOf(old);
  }
}

function asText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** What a load read beside the records it was for. */
export interface Loaded {
  readonly loadedAt: number;
  readonly found: ReadonlyMap<string, StoredRecord>;
}

/**
 * Reads records into memory. `leader` replaces what is held; `replica` only fills what is missing. What stands under the
 * keys `beside` is read in the same request and only returned.
 */
export async function loadResidents(
  residents: Residents,
  store: RecordStore,
  keys: readonly string[],
  from: 'replica' | 'leader',
  beside: readonly string[] = [],
): Promise<Loaded> {
  const loadedAt = residents.beginLoad();
  const found = await store.read(beside.length === 0 ? keys : [...keys, ...beside], from);
  for (const key of keys) {
    const record = found.get(key);
    if (from === 'leader') residents.drop(key);
    const { value: bytes = null, revision = 0 } = record ?? {};
    residents.put(key, { bytes, revision, state: undefined, loadedAt });
  }
  return { loadedAt, found };
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

/** The state that an actor reads in a record's bytes, or the mark of a damaged one. */
export function decodeOrMark(actor: Actor, key: string, bytes: Uint8Array): unknown {
  try {
    return actor.decode(key, bytes);
  } catch (error) {
    return new DamagedRecord(key, error);
  }
}
