// Waiting for something to become true, with a deadline that says what was waited for.
import { setTimeout as sleep } from 'node:timers/promises';

/** Polls. Throws after the deadline. */
export async function waitFor(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  options: { readonly deadlineMs: number; readonly pollMs?: number },
): Promise<void> {
  const endMs = performance.now() + options.deadlineMs;
  while (!(await isTrue())) {
    if (performance.now() > endMs) throw new Error(`not within ${options.deadlineMs} ms: ${what}`);
    await sleep(options.pollMs ?? 20);
  }
}
