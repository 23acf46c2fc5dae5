// On a stream with several copies a follower may have applied, and its consumers delivered, what the leader has committed
// and not applied yet. For a moment the leader's own state then ends before what others have seen of it.

const WAIT_MAX_MS = 3000;
const LOOK_MS = 50;

/** Looks again while what is found ends before `atLeast`, for a few seconds: what is still shorter then is shorter. */
export async function whileBehind<T>(
  look: () => Promise<T>,
  lastSequence: (found: T) => number,
  atLeast: number,
): Promise<T> {
  const deadlineMs = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const found = await look();
    if (lastSequence(found) >= atLeast || performance.now() > deadlineMs) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
