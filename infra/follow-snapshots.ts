// The runs of snapshot tables that are in force, as live values: taken over when the bucket tells of them and after every
// reconnection.
import type { CurrentRuns } from '../actors/profile/join-batch.ts';
import { errorText } from '../shared/kernel/errors.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import type { Snapshots } from '../shared/ports/snapshots.ts';
import type { Log } from './log.ts';

export interface FollowedSnapshots {
  runs(): CurrentRuns;
  onRuns(callback: () => void): void;
  /** Looks for newer runs now. Never rejects. */
  refresh(): Promise<void>;
  close(): void;
}

export async function followSnapshots(
  door: Pick<NatsDoor, 'onReconnect'>,
  snapshots: Pick<Snapshots, 'current' | 'watch'>,
  log: Log,
): Promise<FollowedSnapshots> {
  let runs: CurrentRuns = await snapshots.current();
  let asking: Promise<void> | undefined;
  let again = false;
  const listeners = new Set<() => void>();
  const ask = async () => {
    try {
      const found = await snapshots.current();
      const isNew = Object.entries(found).some(([table, { run }]) => run > (runs[table]?.run ?? 0));
      if (!isNew) return;
      runs = found;
      for (const listener of listeners) listener();
      log.info(
        { runs: Object.fromEntries(Object.entries(runs).map(([table, { run }]) => [table, run])) },
        'snapshots taken over',
      );
    } catch (error) {
      log.warn({ reason: errorText(error) }, 'the snapshot bucket cannot be asked for newer runs');
    } finally {
      asking = undefined;
      if (again) void refresh();
    }
  };
  const refresh = (): Promise<void> => {
    again = asking !== undefined;
    asking ??= ask();
    return asking;
  };
  const stopWatching = await snapshots.watch(() => void refresh());
  const forget = door.onReconnect(() => void refresh());
  return {
    runs: () => runs,
    refresh,
    onRuns: (callback) => void listeners.add(callback),
    close() {
      listeners.clear();
      forget();
      stopWatching();
    },
  };
}
