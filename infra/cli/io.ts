// What a command may touch: its two output streams, the environment, the clock. Data goes to stdout, talk to stderr.
import { createInterface } from 'node:readline/promises';
import type { Clock } from '../../shared/kernel/clock.ts';
import { systemClock } from '../../shared/kernel/clock.ts';
import type { Env } from '../../shared/settings.ts';

export interface Io {
  /** One line of data. */
  out(line: string): void;
  /** One line of talk. */
  talk(line: string): void;
  /** Overwrites the last line of progress on a terminal; on a file or pipe it is a line now and then. */
  progress(line: string): void;
  /** Whether data goes to a terminal. */
  readonly terminal: boolean;
  /** Asks a person for a yes; undefined when nobody sits there to answer. */
  confirm(question: string): Promise<boolean | undefined>;
  /** Puts these lines in place of everything on the terminal. */
  redraw(lines: readonly string[]): void;
  readonly env: Env;
  readonly clock: Clock;
  readonly style: Style;
  /** Aborted by the first SIGINT or SIGTERM of commands that ask for it. */
  interruptible(): AbortSignal;
}

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
}

const PROGRESS_EVERY_MS = 2000;
/** Cursor home, erase the screen. */
const CLEAR = '\u001b[H\u001b[2J';

/** The real thing. */
export function processIo(): Io {
  const terminal = process.stderr.isTTY === true;
  let progressShown = false;
  let lastProgressMs = 0;
  const talk = (line: string) => {
    if (progressShown) process.stderr.write('\n');
    progressShown = false;
    process.stderr.write(`${line}\n`);
  };
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    talk,
    progress(line) {
      if (terminal) {
        process.stderr.write(`\r\u001b[2K${line}`);
        progressShown = true;
        return;
      }
      const nowMs = systemClock.elapsedMs();
      if (nowMs - lastProgressMs < PROGRESS_EVERY_MS) return;
      lastProgressMs = nowMs;
      talk(line);
    },
    terminal: process.stdout.isTTY === true,
    confirm: askYesNo,
    redraw: (lines) => void process.stdout.write(`${CLEAR}${lines.join('\n')}\n`),
    env: process.env,
    clock: systemClock,
    style: styleFor(process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb'),
    interruptible: interruptSignal,
  };
}

/** ANSI styling, or none (NO_COLOR, not a terminal). */
export function styleFor(color: boolean): Style {
  const wrap = (open: number, close: number) => (text: string) =>
    color ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return { bold: wrap(1, 22), dim: wrap(2, 22), red: wrap(31, 39), green: wrap(32, 39) };
}

async function askYesNo(question: string): Promise<boolean | undefined> {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) return undefined;
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await reader.question(`${question} [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    reader.close();
  }
}

function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => controller.abort(new Error(`interrupted by ${name}`)));
  }
  return controller.signal;
}

/** Columns padded to their widest cell; the first row is the head. */
export function table(rows: readonly (readonly string[])[], style: Style): readonly string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  return rows.map((row, index) => {
    const line = row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
    return index === 0 ? style.bold(line) : line;
  });
}
