// The thread of the metronome: sleeps until the moment it is told, then says so. Runs on load.
import { parentPort } from 'node:worker_threads';

const never = new Int32Array(new SharedArrayBuffer(4));

parentPort?.on('message', (atMs: number) => {
  const leftMs = atMs - (performance.timeOrigin + performance.now());
  if (leftMs > 0) Atomics.wait(never, 0, 0, leftMs);
  parentPort?.postMessage(undefined);
});
