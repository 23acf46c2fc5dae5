// The note that a running `dev` leaves in its data folder, so that client commands find it without flags. It holds
// keys: mode 0600. A note of a process that is gone is not used.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DevHandle } from '../../shared/settings.ts';

const FILE = 'dev.json';

export function writeDevHandle(dataDir: string, handle: DevHandle): void {
  mkdirSync(dataDir, { recursive: true });
  const path = join(dataDir, FILE);
  writeFileSync(path, `${JSON.stringify(handle, null, 2)}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
}

/** The handle of a dev process that is alive, or undefined. */
export function readDevHandle(dataDir: string): DevHandle | undefined {
  const handle = lastDevHandle(dataDir);
  return handle && isAlive(handle.pid) ? handle : undefined;
}

/** What the last dev process left, alive or not. */
export function lastDevHandle(dataDir: string): DevHandle | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(join(dataDir, FILE), 'utf8'));
    return isDevHandle(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isDevHandle(value: unknown): value is DevHandle {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Record<string, unknown>;
  const texts = ['url', 'natsUrl', 'adminKey', 'writeKey'].every((name) => typeof fields[name] === 'string');
  return texts && typeof fields.pid === 'number' && Array.isArray(fields.segments);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
