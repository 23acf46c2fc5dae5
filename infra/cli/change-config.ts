// What apply and rollback have in common: look first, show what it means, ask, then change exactly what was looked at.

import type { Changed } from './config-api.ts';
import { CommandFailure, EXIT } from './exit.ts';
import type { Io } from './io.ts';

export interface ChangeFlags {
  readonly note?: string;
  readonly ifVersion?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/**
 * `send` asks for the change, or only for what it would be. What was changed; undefined: it was only looked at. Throws
 * CommandFailure.
 */
export async function changeConfig(
  flags: ChangeFlags,
  io: Io,
  send: (options: { dryRun: boolean; ifVersion: number | undefined }) => Promise<Changed>,
): Promise<Changed | undefined> {
  const asked = flags.ifVersion === undefined ? undefined : versionFlag('--if-version', flags.ifVersion);
  const { describeProblem } = await import('../segment-files.ts');
  const looked = await send({ dryRun: true, ifVersion: asked });
  if (flags.dryRun && flags.json) io.out(JSON.stringify(looked));
  if (looked.problems.length > 0) {
    if (!(flags.dryRun && flags.json))
      for (const problem of looked.problems) io.out(describeProblem(problem));
    throw new CommandFailure(EXIT.problems, `the config has ${looked.problems.length} problems`);
  }
  const { describeDiff } = await import('../../shared/contract/config/describe-diff.ts');
  const show = (line: string) => (flags.json ? io.talk(line) : io.out(line));
  if (looked.diff && !(flags.dryRun && flags.json)) {
    show(`${looked.segment}: from version ${looked.version}`);
    for (const line of describeDiff(looked.diff)) show(line);
  }
  if (flags.dryRun) return undefined;
  await confirmed(flags, io);
  // Over the version that was shown, and no other.
  const done = await send({ dryRun: false, ifVersion: looked.version });
  if (flags.json) io.out(JSON.stringify(done));
  else if (done.changed) io.talk(`version ${done.version} of ${done.segment} is in force`);
  else io.talk(`version ${done.version} of ${done.segment} is in force already: it has this very text`);
  return { ...done, diff: looked.diff };
}

async function confirmed({ yes }: ChangeFlags, io: Io): Promise<void> {
  if (yes) return;
  const answer = await io.confirm('Apply this?');
  if (answer === undefined)
    throw new CommandFailure(EXIT.usage, 'nobody is here to confirm: give --yes, or --dry-run to look only');
  if (!answer) throw new CommandFailure(EXIT.failed, 'nothing was changed');
}

/** A version number in a flag. Throws CommandFailure. */
export function versionFlag(flag: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new CommandFailure(EXIT.usage, `${flag} ${text}: give a version number, such as 3`);
}
