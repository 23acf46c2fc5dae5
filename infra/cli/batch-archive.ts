// `stitchwork batch archive`: how far the archive of a segment has come, and giving it up. What is told comes from the record
// of it on the server, so that it can be asked from anywhere.
import type { Command } from 'commander';
import { NO_ARCHIVE } from '../../shared/contract/archive-record.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { showSize } from '../show-size.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withExample, withNatsFlags } from './flags.ts';
import type { Io } from './io.ts';

interface Flags extends ClientFlags {
  readonly json?: boolean;
  readonly yes?: boolean;
}

export function addBatchArchive(batch: Command, io: Io): void {
  const archive = batch.command('archive').description('the archive of the event log');
  const status = archive
    .command('status')
    .description('how far the archive has come, what it holds and who keeps it');
  withExample(withNatsFlags(status), 'stitchwork batch archive status --segment shop');
  status.action((flags: Flags) =>
    withSegment(flags, io, (door, names) => tellStatus(door, names, flags, io)),
  );
  const detach = archive
    .command('detach')
    .description('give the archive up: its files stay, and the event log no longer waits for it')
    .option('-y, --yes', 'do not ask');
  withExample(withNatsFlags(detach), 'stitchwork batch archive detach --segment shop');
  detach.action((flags: Flags) => withSegment(flags, io, (door, names) => giveUp(door, names, flags, io)));
}

async function withSegment(
  flags: Flags,
  io: Io,
  use: (door: NatsDoor, names: SegmentNames) => Promise<void>,
): Promise<void> {
  const { withNats } = await import('./nats-context.ts');
  await withNats(flags, io, use);
}

async function tellStatus(door: NatsDoor, names: SegmentNames, flags: Flags, io: Io): Promise<void> {
  const [{ readLogState }, { presence, record }] = await Promise.all([
    import('../../shared/nats/log-state.ts'),
    find(door, names),
  ]);
  const log = await readLogState(door, names);
  const { owner, position, rows, bytes, files, committedAtMs, archiveId, logId } = record;
  const running = owner !== null && (await presence.ask(owner, ASK_MS)) === 'there';
  const status = {
    segment: names.segment,
    archiveId,
    position,
    lag: Math.max(0, log.lastSequence - position),
    rows,
    bytes,
    files,
    owner,
    running,
    lastCommitAt: committedAtMs === 0 ? null : new Date(committedAtMs).toISOString(),
    ofThisLog: logId === log.createdAt,
  };
  if (flags.json) {
    io.out(JSON.stringify(status));
    return;
  }
  io.out(io.style.bold(`archive of ${status.segment}`));
  io.out(`  position     ${position}, ${status.lag} messages behind the event log`);
  io.out(`  holds        ${rows} rows in ${files} files, ${showSize(bytes)}`);
  io.out(`  last commit  ${status.lastCommitAt ?? 'never'}`);
  io.out(`  kept by      ${owner ?? 'nobody'}${owner === null || running ? '' : ' (gives no answer)'}`);
  if (!status.ofThisLog) io.out('  It is the archive of another event log: nothing is archived.');
}

const ASK_MS = 1000;

async function giveUp(door: NatsDoor, names: SegmentNames, flags: Flags, io: Io): Promise<void> {
  const { store, presence, record, revision, key } = await find(door, names);
  if (record.owner !== null && (await presence.ask(record.owner, ASK_MS)) === 'there')
    throw new CommandFailure(
      EXIT.failed,
      `${record.owner} keeps the archive of ${names.segment}: stop it first`,
    );
  const question = `Give up the archive of ${names.segment} at ${record.position}? Events that it does not hold may be removed from the log.`;
  const answer = flags.yes ? true : await io.confirm(question);
  if (answer === undefined) throw new CommandFailure(EXIT.usage, 'nobody can be asked here: give --yes');
  if (!answer) throw new CommandFailure(EXIT.failed, 'nothing was changed');
  const outcome = await store.commit([{ kind: 'delete', key, expect: revision }]);
  if (outcome.kind !== 'committed')
    throw new StitchworkError('STORE_UNAVAILABLE', `the archive was not given up: ${outcome.kind}`);
  const result = { segment: names.segment, archiveId: record.archiveId, position: record.position };
  io.out(flags.json ? JSON.stringify(result) : `archive of ${names.segment} given up at ${record.position}`);
}

/** Throws NOT_FOUND when the segment has no archive. */
async function find(door: NatsDoor, names: SegmentNames) {
  const [{ createRecordStore }, { createPresence }, { readArchiveRecord }, { recordKeys }] =
    await Promise.all([
      import('../../shared/nats/record-store.ts'),
      import('../../shared/nats/presence.ts'),
      import('../../batch/archive/claim.ts'),
      import('../../shared/contract/names.ts'),
    ]);
  const store = createRecordStore(door, names);
  const { record, revision } = await readArchiveRecord(store);
  if (record === NO_ARCHIVE)
    throw new StitchworkError('NOT_FOUND', `segment ${names.segment} has no archive: run stitchwork batch`);
  return { store, presence: createPresence(door, names), record, revision, key: recordKeys.archive };
}
