// Log lines of the way in, at debug: what was rejected and what was appended, with the ids by which one event can be
// followed into the worker's log. Above debug they cost nothing.
import type { FastifyBaseLogger } from 'fastify';
import type { AppendOutcome } from '../shared/ports/event-log.ts';
import type { Prepared } from './events/prepare.ts';

/** Events of a request that were refused one by one. */
export function logRejected(log: FastifyBaseLogger, segment: string, prepared: Prepared): void {
  if (!isChatty(log)) return;
  prepared.rejected.forEach(({ index, code, message }, at) => {
    log.debug(
      { segment, code, index, messageId: prepared.rejectedIds[at], reason: message },
      'event rejected',
    );
  });
}

/** What became of the append of a request's events. */
export function logAppended(
  log: FastifyBaseLogger,
  segment: string,
  prepared: Prepared,
  outcome: AppendOutcome,
): void {
  if (!isChatty(log)) return;
  const shards = [...new Set(prepared.appends.map(({ shard }) => shard))];
  const messageIds = prepared.accepted.map(({ messageId }) => messageId);
  const reason = 'reason' in outcome ? outcome.reason : undefined;
  log.debug({ segment, outcome: outcome.kind, reason, shards, messageIds }, 'events appended');
}

function isChatty(log: FastifyBaseLogger): boolean {
  return log.level === 'debug' || log.level === 'trace';
}
