// A config store in memory. What comes of an operation is decided at once and told a turn later, so that calls made
// together race as they do on a server.

import { StitchworkError } from '../../shared/kernel/errors.ts';
import { sha256Hex } from '../../shared/kernel/hash.ts';
import {
  CONFIG_BYTES_MAX,
  CONFIG_VERSIONS_KEPT,
  type ConfigStore,
  type StoredConfig,
} from '../../shared/ports/config-store.ts';

export function memoryConfigStore(): ConfigStore {
  const versions: StoredConfig[] = [];
  const watchers = new Set<(config: StoredConfig) => void>();
  const later = <T>(value: T) => new Promise<T>((resolve) => setImmediate(() => resolve(value)));
  const kept = () => versions.slice(-CONFIG_VERSIONS_KEPT);
  return {
    current: () => later(versions.at(-1)),
    version: (wanted) => later(kept().find(({ version }) => version === wanted)),
    entries: () =>
      later(
        kept()
          .map(({ yaml: _, ...entry }) => entry)
          .reverse(),
      ),
    async add(candidate, after) {
      await later(undefined);
      if (Buffer.byteLength(candidate.yaml) > CONFIG_BYTES_MAX)
        throw new StitchworkError('INVALID_CONFIG', 'the config is too long');
      if (versions.length !== after) return later({ kind: 'conflict', version: versions.length } as const);
      const config = { ...candidate, version: after + 1, textDigest: sha256Hex(candidate.yaml) };
      versions.push(config);
      for (const watcher of watchers) setImmediate(() => watchers.has(watcher) && watcher(config));
      return later({ kind: 'added', config } as const);
    },
    watch(callback) {
      watchers.add(callback);
      const inForce = versions.at(-1);
      if (inForce) setImmediate(() => watchers.has(callback) && callback(inForce));
      return () => void watchers.delete(callback);
    },
  };
}
