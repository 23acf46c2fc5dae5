// Plain writes, each carried to a definite outcome of its own: for a few messages that change one stamped record each.
// They go without the checkpoints of their shards, which follow later (see `settle.ts`): whoever reads such a message
// again finds its stamp in the record and does nothing.
//
//   send -> committed
//        -> busy, refused, unknown -> wait -> send again
//        -> conflict: the record is read again, and so are its messages. Had an unanswered send been stored after all,
//           the stamps tell.
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { Revision, StoreWrite } from '../../shared/ports/record-store.ts';
import type { CommitDeps } from './commit.ts';

export interface PlainResult {
  readonly kind: 'plain';
  /** In the order of the writes; undefined: not stored, the record has changed. */
  readonly revisions: readonly (Revision | undefined)[];
}

/** Settles the writes beside one another. Rejects only when `signal` aborts. */
export async function settlePlain(
  deps: CommitDeps,
  plan: { readonly commitId: string; readonly writes: readonly StoreWrite[] },
  signal: AbortSignal,
): Promise<PlainResult> {
  const settled = plan.writes.map((write) => settleWrite(deps, plan.commitId, write, signal));
  return { kind: 'plain', revisions: await Promise.all(settled) };
}

async function settleWrite(
  deps: CommitDeps,
  commitId: string,
  write: StoreWrite,
  signal: AbortSignal,
): Promise<Revision | undefined> {
  const { store, clock, random, telemetry, backoffMaxMs } = deps;
  let unknowns = 0;
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    const outcome = await store.commit([write]);
    switch (outcome.kind) {
      case 'committed':
        if (unknowns > 0) telemetry.resolved('committed', commitId);
        return outcome.revisions[0];
      case 'conflict':
        if (unknowns > 0) telemetry.resolved('redone', commitId);
        telemetry.conflict({ key: write.key, kind: 'data', commitId });
        return undefined;
      case 'unknown':
        unknowns++;
        telemetry.unknownOutcome(attempt, commitId);
        break;
      case 'busy':
        telemetry.busy(outcome.reason, commitId);
        break;
      case 'refused':
        telemetry.refused(outcome.code, outcome.reason, commitId);
        break;
    }
    await clock.sleep(5 + backoffMs(attempt, 10, backoffMaxMs, random), signal);
  }
}
