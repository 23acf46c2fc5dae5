// Where the archive of one segment is kept: whole files under names, written once and never changed.

export interface StoredFile {
  readonly name: string;
  readonly bytes: number;
}

/** Content in memory, or a finished file on this machine, which is taken over: it is gone afterwards. */
export type FileContent = Uint8Array | { readonly file: string };

export interface ArchiveStorage {
  /**
   * Stores a file whole and durable, or tells that the name is in use: never both, and never in place of another. Of
   * several that put the same name at once, one stores it. After a throw it may or may not be there. Names are paths of
   * [A-Za-z0-9=._-] with `/` between; no part begins with a dot.
   */
  put(name: string, content: FileContent): Promise<'stored' | 'exists'>;
  /** Finished files whose names begin with `prefix`, by name. */
  list(prefix: string): Promise<readonly StoredFile[]>;
  /** Throws NOT_FOUND. */
  read(name: string): Promise<Uint8Array>;
  /** Nothing happens when there is no such file. */
  remove(name: string): Promise<void>;
  /** Where the file lies on this machine; undefined when it has to be fetched with `read`. */
  pathOf(name: string): string | undefined;
  /** Removes what writers that died left unfinished; one that is alive may fail, and leaves nothing half-done. */
  removeUnfinished(): Promise<void>;
}
