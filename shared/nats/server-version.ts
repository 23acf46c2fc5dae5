// The oldest nats-server that keeps every promise the design stands on.
import { StitchworkError } from '../kernel/errors.ts';

export const SERVER_VERSION_MIN = '2.14.4';

/** Whether `version` (x.y.z, a suffix is ignored) is at least the minimum. */
export function isNewEnough(version: string): boolean {
  return isAtLeast(version, SERVER_VERSION_MIN);
}

/** Whether one version (x.y.z, a suffix is ignored) is at least another. */
export function isAtLeast(version: string, minimum: string): boolean {
  const parts = (text: string) => text.split(/[.-]/).slice(0, 3).map(Number);
  const given = parts(version);
  for (const [index, least] of parts(minimum).entries()) {
    const part = given[index] ?? Number.NaN;
    if (!(part >= least)) return false;
    if (part > least) return true;
  }
  return true;
}

/** Throws SERVER_TOO_OLD with the reason. */
export function assertServerVersion(version: string): void {
  if (isNewEnough(version)) return;
  throw new StitchworkError(
    'SERVER_TOO_OLD',
    `nats-server ${version} is too old: ${SERVER_VERSION_MIN} or newer is needed. Older servers accept the options for atomic batches and message schedules and silently drop them.`,
  );
}
