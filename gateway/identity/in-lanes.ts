// Work over many items, a bounded number at a time.

const LANES = 32;

/** Rejects with the first failure; what is under way then still ends. */
export async function inLanes<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const index = next++;
      await work(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(LANES, items.length) }, lane));
}
