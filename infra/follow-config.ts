// The config in force as a live value. A newer version is taken over when the store tells of it, after every reconnection,
// and whenever somebody who met a trace of it asks; an older one never.
import type { SegmentConfig } from '../shared/contract/config/segment-config.ts';
import { errorText } from '../shared/kernel/errors.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import type { ConfigStore, StoredConfig } from '../shared/ports/config-store.ts';
import type { LiveConfig } from './config-in-force.ts';
import type { Log } from './log.ts';
import { readSegmentText } from './segment-files.ts';

export interface FollowedConfig {
  config(): SegmentConfig;
  configVersion(): number;
  refresh(): Promise<void>;
  onConfig(callback: () => void): void;
  close(): void;
}

export function followConfig(
  door: Pick<NatsDoor, 'onReconnect'>,
  store: Pick<ConfigStore, 'current' | 'watch'>,
  start: LiveConfig,
  log: Log,
): FollowedConfig {
  let live = start;
  let refused = 0;
  let asking: Promise<void> | undefined;
  const listeners = new Set<() => void>();
  const take = (stored: StoredConfig) => {
    if (stored.version <= Math.max(live.version, refused)) return;
    const { source, problems } = readSegmentText(stored.yaml);
    if (!source) {
      refused = stored.version;
      log.error({ version: stored.version, problems }, 'a newer config cannot run here; the old one stays');
      return;
    }
    live = { version: stored.version, source };
    for (const listener of listeners) listener();
    log.info({ version: live.version, by: stored.by }, 'config taken over');
  };
  const ask = async () => {
    try {
      const stored = await store.current();
      if (stored) take(stored);
    } catch (error) {
      log.warn({ reason: errorText(error) }, 'the config store cannot be asked for a newer config');
    } finally {
      asking = undefined;
    }
  };
  const refresh = () => (asking ??= ask());
  const stopWatching = store.watch(take);
  const forget = door.onReconnect(() => void refresh());
  return {
    config: () => live.source.config,
    configVersion: () => live.version,
    refresh,
    onConfig: (callback) => void listeners.add(callback),
    close() {
      listeners.clear();
      forget();
      stopWatching();
    },
  };
}
