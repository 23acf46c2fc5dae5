// The process's own log: JSON lines on stderr, so that stdout stays for data.
import { destination, type Logger, pino, stdTimeFunctions } from 'pino';
import type { LogLevel } from '../shared/settings.ts';

export type Log = Logger;

/** A logger for one role. Written synchronously: a line before a crash is a line kept. */
export function createLog(role: string, level: LogLevel): Log {
  const options = {
    level,
    base: { role, pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
  };
  return pino(options, destination({ dest: 2, sync: true }));
}
