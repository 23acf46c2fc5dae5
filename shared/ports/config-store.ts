// Versions of a segment's config: immutable once stored, numbered from 1 without a gap, one of them in force.

/** Everything about a version but its text. */
export interface ConfigEntry {
  readonly version: number;
  /** Of what the text means: comments, layout and defaults that are spelt out do not count. */
  readonly digest: string;
  /** Of the text as it was written. */
  readonly textDigest: string;
  /** When it came into force, ISO 8601. */
  readonly at: string;
  /** Who applied it, as far as they say. */
  readonly by: string;
  readonly note: string | null;
  /** The version whose text this one took over; null: it is no rollback. */
  readonly rollbackOf: number | null;
}

export interface StoredConfig extends ConfigEntry {
  /** The text as it was written. */
  readonly yaml: string;
}

export type ConfigCandidate = Omit<StoredConfig, 'version' | 'textDigest'>;

export type AddOutcome =
  | { readonly kind: 'added'; readonly config: StoredConfig }
  /** Nothing stored: another version is in force than the one it was to come after (0: none is). */
  | { readonly kind: 'conflict'; readonly version: number };

/** Versions that are kept, the one in force included; older ones go. */
export const CONFIG_VERSIONS_KEPT = 1000;
/** Longest text of a config, in bytes. */
export const CONFIG_BYTES_MAX = 512 * 1024;

export interface ConfigStore {
  /** The version in force (leader); undefined: the segment has none yet. Throws STORE_UNAVAILABLE. */
  current(): Promise<StoredConfig | undefined>;
  /** A version that is kept (leader), undefined when there is none of this number. Throws STORE_UNAVAILABLE. */
  version(version: number): Promise<StoredConfig | undefined>;
  /** The versions that are kept, newest first. Throws STORE_UNAVAILABLE. */
  entries(): Promise<readonly ConfigEntry[]>;
  /**
   * Stores the candidate as version `after + 1` and puts it in force, both or nothing, if version `after` is in force (0:
   * none). Of several at the same time one succeeds. Throws STORE_UNAVAILABLE when it cannot tell within its deadline, and
   * INVALID_CONFIG when the text is too long.
   */
  add(candidate: ConfigCandidate, after: number): Promise<AddOutcome>;
  /**
   * Calls back with the version in force, and with each that comes into force from then on, through reconnects; one may
   * come twice, and one that is replaced at once may be left out. Returns a function that stops it.
   */
  watch(callback: (config: StoredConfig) => void): () => void;
}
