import type { ConfigProblem } from './problem.ts';
import type { SegmentConfig } from './segment-config.ts';

/** What a valid config asks for that this version does not do: refused by name, never ignored. */
export function unsupportedFeatures(config: SegmentConfig): readonly ConfigProblem[] {
  return config.unsupported;
}
