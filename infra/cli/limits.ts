// Limits that commands on whole segments share: how long, how much memory.
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import { CommandFailure, EXIT } from './exit.ts';
import type { Io } from './io.ts';

const UNITS = { KB: 1e3, MB: 1e6, GB: 1e9 } as const;
const MEMORY_MIN_BYTES = 50_000_000;

/** Bytes of a size such as 500MB. Throws CommandFailure. */
export function memoryOf(flag: string, text: string): number {
  const match = /^(\d+) ?(KB|MB|GB)$/i.exec(text);
  const bytes = match ? Number(match[1]) * UNITS[match[2]!.toUpperCase() as keyof typeof UNITS] : 0;
  if (bytes >= MEMORY_MIN_BYTES) return bytes;
  throw new CommandFailure(EXIT.usage, `${flag} ${text}: give a size of at least 50MB, such as 1GB`);
}

/** Runs `use` with a signal that is aborted by an interrupt, and after the time. Throws CommandFailure then. */
export async function withinTime<T>(
  flag: string,
  text: string,
  io: Io,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeoutMs = parseDurationMs(text);
  if (timeoutMs === undefined)
    throw new CommandFailure(EXIT.usage, `${flag} ${text}: give a duration such as 10m`);
  const late = new AbortController();
  const done = new AbortController();
  const isLate = new CommandFailure(EXIT.failed, `it took longer than ${text}: give more by ${flag}`);
  void io.clock.sleep(timeoutMs, done.signal).then(
    () => late.abort(isLate),
    () => undefined,
  );
  try {
    return await use(AbortSignal.any([io.interruptible(), late.signal]));
  } finally {
    done.abort();
  }
}
