// Appends a command to the log and waits for its commit, as an event with `wait=commit` does.
import { type CommandReply, type IdentityCommand, routedBy } from '../../shared/contract/command.ts';
import type { LogEnvelope } from '../../shared/contract/event.ts';
import { shardOf } from '../../shared/contract/routing.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { GatewaySegment } from '../deps.ts';

export interface CommandMark {
  readonly id: string;
  readonly by: string;
  readonly atMs: number;
}

/**
 * What became of the command; undefined when that is not known in time: it may still be applied. Throws LOG_FULL,
 * LOG_UNAVAILABLE and OVERLOADED when it certainly never will.
 */
export async function sendCommand(
  segment: Pick<GatewaySegment, 'appender' | 'replyBoxes' | 'shards'>,
  command: IdentityCommand,
  { id, by, atMs }: CommandMark,
  waitMs: number,
): Promise<CommandReply | undefined> {
  const box = segment.replyBoxes.open();
  try {
    const envelope: LogEnvelope = {
      v: 1,
      type: 'command',
      command,
      id,
      by,
      at: new Date(atMs).toISOString(),
      replyTo: box.subjectOf(0),
    };
    const payload = Buffer.from(JSON.stringify(envelope));
    const shard = shardOf(routedBy(command), segment.shards);
    const outcome = await segment.appender.append([{ shard, source: 'command', payload }]);
    if (outcome.kind === 'full') throw new StitchworkError('LOG_FULL');
    if (outcome.kind === 'overloaded') throw new StitchworkError('OVERLOADED');
    if (outcome.kind === 'unavailable') throw new StitchworkError('LOG_UNAVAILABLE', outcome.reason);
    const body = (await box.collect(1, waitMs)).get(0);
    return body && (JSON.parse(Buffer.from(body).toString('utf8')) as CommandReply);
  } finally {
    box.close();
  }
}
