// What became of the events of a request, as the workers that applied them say.
import type { CommitReply } from '../../shared/contract/event.ts';
import type { ReplyBox } from '../../shared/ports/replies.ts';
import type { Prepared } from './prepare.ts';

/** From the log's acknowledgement to the answer. */
const COMMIT_WAIT_MS = 2000;

export interface CommitOfRequest {
  /** Every event was applied, or could not be and says why. */
  readonly committed: boolean;
  readonly profiles: readonly ({ readonly index: number } & CommitReply)[];
}

/** Resolves when every event of the request is applied, or at the deadline with those that are. */
export async function awaitCommit(box: ReplyBox, prepared: Prepared): Promise<CommitOfRequest> {
  const count = prepared.accepted.length;
  const replies = await box.collect(count, COMMIT_WAIT_MS);
  const profiles = prepared.accepted.flatMap(({ index }, position) => {
    const body = replies.get(position);
    return body ? [{ index, ...(JSON.parse(Buffer.from(body).toString('utf8')) as CommitReply) }] : [];
  });
  return { committed: profiles.length === count, profiles };
}
