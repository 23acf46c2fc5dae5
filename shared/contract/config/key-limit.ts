// Limit and kind of a stitching key, as its config says or as its limit lets assume.
import { parseDurationMs } from '../../kernel/duration.ts';
import type { RawKey } from './schema.ts';
import type { KeyKind } from './segment-config.ts';

export interface KeyLimit {
  readonly limit: number | null;
  readonly limitWindowMs: number | null;
}

/** A key with at least this limit is taken for a device's. */
const DEVICE_LIMIT = 100;

/** `5`, or `5/30d`: of the values seen within that time. */
export function limitOf({ limit: raw }: RawKey): KeyLimit {
  if (typeof raw !== 'string') return { limit: raw ?? null, limitWindowMs: null };
  const [count, window] = raw.split('/') as [string, string];
  return { limit: Number(count), limitWindowMs: parseDurationMs(window) ?? null };
}

/** One value a profile is a person's own id; very many (or any number) are devices; a few are contact points. */
export function kindOf(raw: RawKey): KeyKind {
  if (raw.kind !== undefined) return raw.kind;
  const { limit } = limitOf(raw);
  if (limit === 1) return 'person';
  return limit === null || limit >= DEVICE_LIMIT ? 'device' : 'contact';
}
