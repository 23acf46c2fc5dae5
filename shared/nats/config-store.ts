// Versions of a segment's config in the bucket `stitchwork_config`: the one in force under `<segment>.current`, every
// version under `<segment>.version.<n>`. Applying the config that is in force already makes no new version.
import { JetStreamApiError } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { CONFIG_BUCKET, type SegmentNames } from '../contract/names.ts';
import { errorText, StitchworkError } from '../kernel/errors.ts';
import type { NatsDoor } from './connect.ts';

export interface StoredConfig {
  readonly version: number;
  readonly digest: string;
  readonly yaml: string;
}

export interface ConfigStore {
  current(): Promise<StoredConfig | undefined>;
  apply(yaml: string, digest: string): Promise<{ version: number; changed: boolean }>;
  /** Calls back with each config that comes into force from now on. */
  watch(callback: (config: StoredConfig) => void): Promise<() => void>;
}

const ATTEMPTS_MAX = 8;
const WRONG_LAST_SEQUENCE = 10071;

function isConflict(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE;
}

export function createConfigStore(door: NatsDoor, names: SegmentNames): ConfigStore {
  const key = names.configKey;
  let opened: Promise<KV> | undefined;
  const bucket = () => (opened ??= new Kvm(door.nc).open(CONFIG_BUCKET));
  return {
    async current() {
      const entry = await (await bucket()).get(key);
      return entry && entry.operation === 'PUT' ? entry.json<StoredConfig>() : undefined;
    },
    async apply(yaml, digest) {
      const kv = await bucket();
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        const entry = await kv.get(key);
        const before = entry && entry.operation === 'PUT' ? entry.json<StoredConfig>() : undefined;
        if (before?.digest === digest) return { version: before.version, changed: false };
        const config: StoredConfig = { version: (before?.version ?? 0) + 1, digest, yaml };
        const value = JSON.stringify(config);
        try {
          // `update` refuses revision 0, and `create` is for a key that has never been there.
          if (entry) await kv.update(key, value, entry.revision);
          else await kv.create(key, value);
        } catch (error) {
          if (!isConflict(error)) {
            throw new StitchworkError(
              'STORE_UNAVAILABLE',
              `the config cannot be stored: ${errorText(error)}`,
              { cause: error },
            );
          }
          // Somebody else applied one at the same time: look again.
          continue;
        }
        await kv.put(names.configVersionKey(config.version), value);
        return { version: config.version, changed: true };
      }
      throw new StitchworkError(
        'STORE_UNAVAILABLE',
        'the config could not be applied: others apply at the same time',
      );
    },
    async watch(callback) {
      const iterator = await (await bucket()).watch({ key });
      void (async () => {
        for await (const entry of iterator)
          if (entry.operation === 'PUT') callback(entry.json<StoredConfig>());
      })();
      return () => iterator.stop();
    },
  };
}
