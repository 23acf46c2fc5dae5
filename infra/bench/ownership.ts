// What the bench has taken (processes, folders), so that an interruption gives all of it back.

export interface Ownership {
  /** Notes how something is given back. What it returns does that, once, however often it is called. */
  own(close: () => Promise<void>): () => Promise<void>;
  /** Gives back whatever is left, newest first; each is tried even when one fails. */
  closeAll(): Promise<void>;
}

export function createOwnership(): Ownership {
  const open = new Set<() => Promise<void>>();
  return {
    own(close) {
      let closing: Promise<void> | undefined;
      const once = () => {
        open.delete(once);
        closing ??= close();
        return closing;
      };
      open.add(once);
      return once;
    },
    async closeAll() {
      for (const close of [...open].reverse()) await close().catch(() => {});
    },
  };
}
