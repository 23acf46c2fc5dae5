// Settings of one worker, with the defaults that the design states. All times in ms.
import { DEFAULT_SHARDS } from '../../shared/contract/names.ts';

export interface WorkerOptions {
  readonly segment: string;
  /** Unique per process start: a restarted worker is another worker. */
  readonly workerId: string;
  readonly shards: number;
  /** Most messages taken from the log for one micro-batch. */
  readonly batchMessagesMax: number;
  /** Bound on cached records, in stored bytes plus a fixed overhead a record. */
  readonly residentBytesMax: number;
  /** How often the owner table is looked at. */
  readonly ownershipIntervalMs: number;
  /** How often the list of members is read. */
  readonly membersIntervalMs: number;
  /** A member that does not answer a probe for this long counts as hung. */
  readonly probeTimeoutMs: number;
  /** After a reconnection only the shards that the members seen before give to this worker are claimed. */
  readonly settleMs: number;
  /** Idle shards move their checkpoint at least this often. */
  readonly idleCheckpointMs: number;
  /** A shard that stopped with an alarm is looked at again after this long. */
  readonly haltedRetryMs: number;
  /** Longest wait between two attempts of anything. */
  readonly backoffMaxMs: number;
  /** A stop that takes longer gives up waiting; the next owner takes over by fencing. */
  readonly stopDeadlineMs: number;
}

export const WORKER_DEFAULTS = {
  shards: DEFAULT_SHARDS,
  batchMessagesMax: 1000,
  residentBytesMax: 256 * 1024 * 1024,
  ownershipIntervalMs: 50,
  membersIntervalMs: 500,
  probeTimeoutMs: 500,
  settleMs: 1000,
  idleCheckpointMs: 30_000,
  haltedRetryMs: 10_000,
  backoffMaxMs: 1000,
  stopDeadlineMs: 5000,
} as const;

/** The options with defaults filled in. */
export function workerOptions(
  given: Pick<WorkerOptions, 'segment' | 'workerId'> & Partial<WorkerOptions>,
): WorkerOptions {
  return { ...WORKER_DEFAULTS, ...given };
}
