// The config in force of a segment, for commands that read the streams themselves.
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import { createConfigStore } from '../../shared/nats/config-store.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { readSegmentText } from '../segment-files.ts';
import { CommandFailure, EXIT } from './exit.ts';

/** Throws CommandFailure when there is no such segment, STORE_UNAVAILABLE. */
export async function deployedConfig(
  door: NatsDoor,
  names: SegmentNames,
): Promise<{ readonly config: SegmentConfig; readonly version: number }> {
  const stored = await createConfigStore(door, names).current();
  const source = stored && readSegmentText(stored.yaml).source;
  if (!source) throw new CommandFailure(EXIT.notFound, `there is no segment ${names.segment}`);
  return { config: source.config, version: stored.version };
}
