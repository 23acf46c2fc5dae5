// What a check of `stitchwork doctor` finds, and how it is told. A check never throws: what it could not look at is
// skipped with the reason, or a problem where it should have answered.
import { errorText, isStitchworkError } from '../../shared/kernel/errors.ts';

export type CheckStatus = 'ok' | 'warning' | 'problem' | 'skipped';

export interface CheckResult {
  readonly name: string;
  readonly status: CheckStatus;
  readonly found: string;
  /** What to do about it. */
  readonly fix?: string;
}

export function ok(name: string, found: string): CheckResult {
  return { name, status: 'ok', found };
}

export function warning(name: string, found: string, fix: string): CheckResult {
  return { name, status: 'warning', found, fix };
}

export function problem(name: string, found: string, fix: string): CheckResult {
  return { name, status: 'problem', found, fix };
}

export function skipped(name: string, found: string, fix?: string): CheckResult {
  return fix === undefined ? { name, status: 'skipped', found } : { name, status: 'skipped', found, fix };
}

/** Runs a check; whatever it throws is its problem. */
export async function guarded(
  name: string,
  run: () => Promise<CheckResult | readonly CheckResult[]>,
): Promise<readonly CheckResult[]> {
  try {
    return [await run()].flat();
  } catch (error) {
    const code = isStitchworkError(error) ? `${error.code}: ` : '';
    return [
      problem(
        name,
        `cannot be looked at: ${code}${errorText(error)}`,
        'see the log of nats-server, then run doctor again',
      ),
    ];
  }
}
