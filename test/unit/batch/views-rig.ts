// Views over a profile actor in memory: what its fold stores and tells is what there is to see.
import { encodeRecord, type RecordState } from '../../../actors/profile/record-codec.ts';
import { createMemoryStorage } from '../../../batch/archive/memory-storage.ts';
import type { OpenViewsDeps, OpenViewsOptions } from '../../../batch/query/open-views.ts';
import type { SegmentConfig } from '../../../shared/contract/config/segment-config.ts';
import { seededRandom } from '../../../shared/kernel/random.ts';
import type { ArchiveStorage } from '../../../shared/ports/archive-storage.ts';
import type { KeptKind, KeptMessage } from '../../../shared/ports/kept-messages.ts';
import type { StoredValue } from '../../../shared/ports/stored-rows.ts';
import type { ProfileFold } from '../profile/harness.ts';

export interface ViewsRigOptions {
  readonly fold: ProfileFold;
  readonly config?: SegmentConfig;
  readonly scratch: string;
  readonly nowMs: number;
  readonly storage?: ArchiveStorage;
  /** Throws when messages are read. */
  readonly broken?: boolean;
}

export function testViews({ fold, scratch, nowMs, storage, config, broken }: ViewsRigOptions): {
  readonly deps: OpenViewsDeps;
  readonly options: OpenViewsOptions;
} {
  const deps: OpenViewsDeps = {
    config: config ?? fold.config,
    stored: {
      async *profiles() {
        yield storedProfiles(fold);
      },
      async *rows() {},
    },
    kept: {
      async *read(kind) {
        if (broken) throw new Error('broken off');
        yield keptOf(fold, kind);
      },
    },
    storage: storage ?? createMemoryStorage(),
    random: seededRandom(9),
    scratch,
    threads: 1,
  };
  const signal = new AbortController().signal;
  return { deps, options: { memoryBytes: 200_000_000, nowMs, signal, log: () => {} } };
}

function storedProfiles(fold: ProfileFold): readonly StoredValue[] {
  return [...fold.records]
    .filter(([key]) => key.startsWith('p.'))
    .map(([key, state]) => ({ key, value: encodeRecord(key, state as RecordState) }));
}

function keptOf(fold: ProfileFold, kind: KeptKind): readonly KeptMessage[] {
  const prefix = kind === 'audit' ? 'o.audit.' : 'o.activation.';
  return fold
    .bodies(prefix)
    .map((body, i) => ({ sequence: i + 1, payload: Buffer.from(JSON.stringify(body)) }));
}
