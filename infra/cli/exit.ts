// Exit codes of every command, and what each error means in them. The only place that knows.
import { CommanderError } from 'commander';
import { errorText, isStitchworkError, type StitchworkError } from '../../shared/kernel/errors.ts';

export const EXIT = { ok: 0, failed: 1, usage: 2, notFound: 3, unreachable: 4, problems: 5 } as const;

/** Thrown by a command that knows its exit code. An empty message says nothing more. */
export class CommandFailure extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The exit code of whatever a command threw, and the line for stderr (empty when it was told already). */
export function describeFailure(error: unknown): { readonly exitCode: number; readonly message: string } {
  if (error instanceof CommandFailure) return { exitCode: error.exitCode, message: error.message };
  if (error instanceof CommanderError) {
    return { exitCode: error.exitCode === 0 ? EXIT.ok : EXIT.usage, message: '' };
  }
  if (isStitchworkError(error))
    return { exitCode: codeOf(error), message: `${error.code}: ${error.message}` };
  if (hasCode(error, 'ENOENT') || hasCode(error, 'EISDIR'))
    return { exitCode: EXIT.notFound, message: errorText(error) };
  return { exitCode: EXIT.failed, message: errorText(error) };
}

function codeOf(error: StitchworkError): number {
  switch (error.code) {
    case 'INVALID_SETTINGS':
      return EXIT.usage;
    case 'NOT_FOUND':
    case 'PROFILE_NOT_FOUND':
    case 'UNKNOWN_SEGMENT':
      return EXIT.notFound;
    case 'LOG_UNAVAILABLE':
    case 'STORE_UNAVAILABLE':
    case 'NOT_READY':
      return EXIT.unreachable;
    case 'INVALID_CONFIG':
      return EXIT.problems;
    default:
      return EXIT.failed;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
