// Writes that come one by one, written together: at once when nothing is under way, else with all that came meanwhile. One
// that fails together with others is tried by itself, so that it fails alone.

export interface Gathered<T> {
  /** Resolves when it is written; rejects with what its own write failed with. */
  write(item: T): Promise<void>;
}

interface Waiting<T> {
  readonly item: T;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** `writeAll` stores all or none. Items that are written together stay within the limits, whatever one alone weighs. */
export function gather<T>(
  writeAll: (items: readonly T[]) => Promise<void>,
  limits: { readonly items: number; readonly bytes: number; readonly weigh: (item: T) => number },
): Gathered<T> {
  const queue: Waiting<T>[] = [];
  let busy = false;
  const next = (): readonly Waiting<T>[] => {
    let bytes = 0;
    const end = queue.findIndex(({ item }, i) => {
      bytes += limits.weigh(item);
      return i >= limits.items || (i > 0 && bytes > limits.bytes);
    });
    return queue.splice(0, end < 0 ? queue.length : end);
  };
  const run = async () => {
    busy = true;
    while (queue.length > 0) await settle(next(), writeAll);
    busy = false;
  };
  return {
    write: (item) =>
      new Promise((done, failed) => {
        queue.push({ item, done, failed });
        if (!busy) void run();
      }),
  };
}

async function settle<T>(
  batch: readonly Waiting<T>[],
  writeAll: (items: readonly T[]) => Promise<void>,
): Promise<void> {
  try {
    await writeAll(batch.map(({ item }) => item));
    for (const { done } of batch) done();
  } catch (error) {
    if (batch.length === 1) batch[0]!.failed(error);
    else for (const one of batch) await settle([one], writeAll);
  }
}
