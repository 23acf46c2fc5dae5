// A connection for a command that reads the streams themselves, closed when the command is done.
import { type SegmentNames, segmentNames } from '../../shared/contract/names.ts';
import { connectNats, type NatsDoor, surviveTransportErrors } from '../../shared/nats/connect.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { clientSettings, requireSegment } from './client-context.ts';
import { EXIT } from './exit.ts';
import type { Io } from './io.ts';

/** Says what broke and ends the process, as Node would. */
export function endWith(io: Io): (error: unknown) => void {
  return (error) => {
    io.talk(`stitchwork: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    process.exit(EXIT.failed);
  };
}

/** Runs `use` with an open connection and the segment's names. Throws LOG_UNAVAILABLE when nobody answers. */
export async function withNats<T>(
  flags: ClientFlags,
  io: Io,
  use: (door: NatsDoor, names: SegmentNames) => Promise<T>,
): Promise<T> {
  const settings = clientSettings(flags, io);
  const names = segmentNames(requireSegment(settings));
  surviveTransportErrors(endWith(io));
  const door = await connectNats({ url: settings.natsUrl, name: 'stitchwork cli' });
  try {
    return await use(door, names);
  } finally {
    await door.close();
  }
}
