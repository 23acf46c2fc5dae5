// Settings of a client command: flags, environment, and a dev process on this machine.
import {
  type ClientFlags,
  type ClientSettings,
  clientDataDir,
  parseClientSettings,
} from '../../shared/settings.ts';
import type { ApiTarget } from './api-client.ts';
import { readDevHandle } from './dev-handle.ts';
import { CommandFailure, EXIT } from './exit.ts';
import type { Io } from './io.ts';

/** Throws INVALID_SETTINGS with every problem. */
export function clientSettings(flags: ClientFlags, io: Io): ClientSettings {
  return parseClientSettings(flags, io.env, readDevHandle(clientDataDir(flags, io.env)));
}

export function adminTarget(settings: ClientSettings): ApiTarget {
  return { url: settings.url, key: settings.adminKey, segment: settings.segment };
}

export function writeTarget(settings: ClientSettings): ApiTarget {
  return { url: settings.url, key: settings.writeKey ?? settings.adminKey, segment: settings.segment };
}

/** The segment that a command on the streams needs. */
export function requireSegment(settings: ClientSettings): string {
  if (settings.segment !== undefined) return settings.segment;
  throw new CommandFailure(EXIT.usage, 'which segment? Give --segment NAME (or STITCHWORK_SEGMENT)');
}
