// Runs a command line in this process, with its output kept.
import { type Io, styleFor } from '../../../infra/cli/io.ts';
import { runCli } from '../../../infra/cli/program.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import type { Env } from '../../../shared/settings.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Where there is no dev process and no data. */
const NOWHERE = '/nonexistent/stitchwork-test';

export interface IoOptions {
  readonly env?: Env;
  readonly interrupt?: AbortSignal;
  readonly terminal?: boolean;
  /** What a person answers to a question; undefined: nobody is there. */
  readonly answer?: boolean;
  /** Called with each line of data and each redrawn screen. */
  readonly onOut?: (text: string) => void;
}

export function testIo(options: IoOptions = {}): {
  readonly io: Io;
  readonly out: string[];
  readonly err: string[];
} {
  const out: string[] = [];
  const err: string[] = [];
  const tell = (text: string) => {
    out.push(text);
    options.onOut?.(text);
  };
  const io: Io = {
    out: tell,
    talk: (line) => void err.push(line),
    progress: () => {},
    terminal: options.terminal === true,
    confirm: async () => options.answer,
    redraw: (lines) => tell(lines.join('\n')),
    env: { STITCHWORK_DATA_DIR: NOWHERE, ...options.env },
    clock: systemClock,
    style: styleFor(false),
    interruptible: () => options.interrupt ?? new AbortController().signal,
  };
  return { io, out, err };
}

export async function runCommand(args: readonly string[], options: IoOptions = {}): Promise<Ran> {
  const { io, out, err } = testIo(options);
  const code = await runCli(args, io);
  return { code, out: out.join('\n'), err: err.join('\n') };
}
