// Finds files that the package carries beside its code: the demo config, the fixtures, nats.conf, its own version.
// Works from the sources and from dist.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Absolute path of a file or folder given relative to the package's root. */
export function packagePath(...parts: readonly string[]): string {
  return join(packageRoot(), ...parts);
}

export function packageVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(packagePath('package.json'), 'utf8'));
  const version =
    typeof parsed === 'object' && parsed !== null && 'version' in parsed ? parsed.version : undefined;
  return typeof version === 'string' ? version : 'unknown';
}

/** Absolute path of the folder that holds package.json. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('no package.json above this file');
    folder = parent;
  }
  return folder;
}
