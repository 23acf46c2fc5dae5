// A timer that is exact to some hundredths of a millisecond and costs no core: a thread sleeps, and wakes the event loop by
// a message. The event loop's own timers are late by up to a millisecond, which would count as latency.
import { Worker } from 'node:worker_threads';
import { packagePath } from '../../package-root.ts';
import type { Timer } from '../pace.ts';

export interface Metronome extends Timer {
  close(): Promise<void>;
}

/** Times of both threads are since the epoch, so that they mean the same. */
export function createMetronome(): Metronome {
  const thread = new Worker(packagePath('dist/infra/bench/load/metronome-thread.js'));
  const nowMs = () => performance.timeOrigin + performance.now();
  return {
    nowMs,
    waitUntil: (atMs) =>
      new Promise((resolve) => {
        thread.once('message', () => resolve());
        thread.postMessage(atMs);
      }),
    close: async () => void (await thread.terminate()),
  };
}
