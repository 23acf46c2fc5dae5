// Journeys of all configs that are kept: a profile finishes a journey by the config by which it came in.
import type { JourneyConfig } from '../shared/contract/config/segment-config.ts';
import { errorText } from '../shared/kernel/errors.ts';
import type { ConfigStore } from '../shared/ports/config-store.ts';
import type { Log } from './log.ts';
import { readSegmentText } from './segment-files.ts';

export interface FormerJourneys {
  readonly journeys: () => readonly JourneyConfig[];
  /** Reads the versions up to this one that are not known yet. Never rejects: what cannot be read is tried again next time. */
  take(version: number): Promise<void>;
}

const AT_ONCE = 8;

export async function formerJourneys(
  configs: Pick<ConfigStore, 'version'>,
  version: number,
  log: Log,
): Promise<FormerJourneys> {
  const known = new Map<number, readonly JourneyConfig[]>();
  const read = async (each: number) => {
    const stored = await configs.version(each);
    // A version that is not kept any more has nobody inside, or these leave.
    known.set(each, (stored && readSegmentText(stored.yaml).source?.config.journeys) ?? []);
  };
  const take = async (upTo: number) => {
    const missing = Array.from({ length: upTo }, (_, i) => upTo - i).filter((each) => !known.has(each));
    try {
      for (let at = 0; at < missing.length; at += AT_ONCE)
        await Promise.all(missing.slice(at, at + AT_ONCE).map(read));
    } catch (error) {
      log.warn({ reason: errorText(error) }, 'journeys of earlier configs cannot be read');
    }
  };
  await take(version);
  return { take, journeys: () => [...known.values()].flat() };
}
