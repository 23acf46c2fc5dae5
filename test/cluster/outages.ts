// How long something that happens all the time did not happen while something else was going on.

/**
 * The longest pause between two moments of `timesMs` (in order) that begins from `startMs` to `endMs`; the start counts as
 * a moment. Undefined when nothing came after the start.
 */
export function longestPauseMs(
  startMs: number,
  endMs: number,
  timesMs: readonly number[],
): number | undefined {
  let before = startMs;
  let longest: number | undefined;
  for (const time of timesMs) {
    if (time <= startMs) continue;
    if (before >= endMs) break;
    longest = Math.max(longest ?? 0, time - before);
    before = time;
  }
  return longest;
}
