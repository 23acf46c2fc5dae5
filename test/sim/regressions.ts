// Seeds that once showed a bug of the runtime, run for ever.
import type { Disaster } from './disaster.ts';

export const REGRESSIONS: Readonly<Record<Disaster, readonly number[]>> = {
  replaced: [],
  // A running worker went on in a restored log that had outgrown what it had read.
  truncated: [14, 17, 25, 27],
  purged: [],
  // An idle checkpoint went over messages that had been purged before they were read.
  overtaken: [1012, 1063, 1078, 1096],
};
