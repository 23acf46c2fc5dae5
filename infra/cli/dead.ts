// `stitchwork dead`: messages that could not be applied and activations that could not be delivered, with the reason; look at
// them, and send them again once the reason is gone. A redriven message carries the message id that it had, so it is applied
// once at most; a redriven activation carries its id, and its letter goes.
import type { Command } from 'commander';
import { type DeadActivation, isDeadActivation } from '../../shared/contract/delivery.ts';
import type { EventSource, SegmentNames } from '../../shared/contract/names.ts';
import type { DeadLetter } from '../../shared/contract/outbox.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { readStream } from '../../shared/nats/stream-reader.ts';
import type { LogAppend } from '../../shared/ports/event-log.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withExample, withNatsFlags } from './flags.ts';
import { type Io, table } from './io.ts';
import { withNats } from './nats-context.ts';
import { redriveActivations } from './redrive-activations.ts';

interface DeadFlags extends ClientFlags {
  readonly json?: boolean;
  readonly all?: boolean;
  readonly limit?: string;
  readonly destination?: string;
}

/** A letter with its place in the stream. */
interface KeptLetter {
  readonly sequence: number;
  readonly letter: DeadLetter | DeadActivation;
}

const DESTINATION = '--destination <name>';

const LIST_LIMIT = 100;
const MESSAGE_WIDTH = 80;
const REDRIVE_AT_ONCE = 500;

export function addDead(program: Command, io: Io): void {
  const dead = program.command('dead').description('look at dead letters and send them again');
  const list = dead
    .command('list')
    .description('list the newest dead letters')
    .option(DESTINATION, 'of activations that could not be delivered there')
    .option('-n, --limit <number>', 'at most so many', String(LIST_LIMIT));
  withExample(withNatsFlags(list), 'stitchwork dead list', 'stitchwork dead list --json | jq .code');
  list.action((flags: DeadFlags) => {
    const limit = limitOf(flags);
    return withNats(flags, io, (door, names) => listLetters(door, names, limit, flags, io));
  });

  const show = dead
    .command('show')
    .description('print one dead letter whole')
    .argument('<id>', 'id as listed');
  withExample(withNatsFlags(show), 'stitchwork dead show 17.4711');
  show.action((id: string, flags: DeadFlags) =>
    withNats(flags, io, async (door, names) => {
      const { letter } = await findLetter(door, names, id);
      io.out(flags.json ? JSON.stringify(letter) : JSON.stringify(letter, null, 2));
    }),
  );

  const redrive = dead
    .command('redrive')
    .description(
      'append the original message to the event log again; hand an activation to its destination again',
    )
    .argument('[id]', 'id as listed')
    .option(DESTINATION, 'with --all: only activations that could not be delivered there')
    .option('--all', 'every dead letter that is kept');
  withExample(
    withNatsFlags(redrive),
    'stitchwork dead redrive 17.4711',
    'stitchwork dead redrive --all --destination crm',
  );
  redrive.action(async (id: string | undefined, flags: DeadFlags) => {
    if ((id === undefined) === !flags.all) throw new CommandFailure(EXIT.usage, 'give one id, or --all');
    await withNats(flags, io, (door, names) => redriveAsked(door, names, id, flags, io));
  });
}

async function redriveAsked(
  door: NatsDoor,
  names: SegmentNames,
  id: string | undefined,
  flags: DeadFlags,
  io: Io,
): Promise<void> {
  const kept = id === undefined ? await allLetters(door, names, flags) : [await findLetter(door, names, id)];
  const events = kept.flatMap(({ letter }) => (isDeadActivation(letter) ? [] : [letter]));
  const activations = kept.flatMap(({ letter, sequence }) =>
    isDeadActivation(letter) ? [{ letter, sequence }] : [],
  );
  await redriveLetters(door, names, events);
  await redriveActivations(door, names, activations);
  if (flags.json) {
    io.out(JSON.stringify({ redriven: kept.map(({ letter }) => letter.id) }));
    return;
  }
  if (events.length > 0 || activations.length === 0)
    io.out(`${events.length} appended to the event log again`);
  if (activations.length > 0) io.out(`${activations.length} handed to their destinations again`);
}

function limitOf({ limit = '' }: DeadFlags): number {
  if (/^[1-9]\d{0,9}$/.test(limit)) return Number(limit);
  throw new CommandFailure(EXIT.usage, `--limit ${limit}: give a number above 0`);
}

async function listLetters(
  door: NatsDoor,
  names: SegmentNames,
  limit: number,
  flags: DeadFlags,
  io: Io,
): Promise<void> {
  const letters = (await allLetters(door, names, flags))
    .slice(-limit)
    .reverse()
    .map(({ letter }) => letter);
  if (flags.json) {
    for (const letter of letters) io.out(JSON.stringify(letter));
    return;
  }
  if (letters.length === 0) {
    io.talk('no dead letters');
    return;
  }
  const rows = letters.map((letter) => [
    letter.id,
    letter.at,
    letter.code,
    letter.message.slice(0, MESSAGE_WIDTH),
  ]);
  for (const line of table([['ID', 'AT', 'CODE', 'MESSAGE'], ...rows], io.style)) io.out(line);
}

/** Oldest first. */
async function allLetters(
  door: NatsDoor,
  names: SegmentNames,
  { destination }: DeadFlags,
): Promise<readonly KeptLetter[]> {
  const kept: KeptLetter[] = [];
  const options = destination === undefined ? {} : { filter: names.deadActivationsSubject(destination) };
  for await (const { payload, sequence } of readStream(door, names.deadStream, options)) {
    if (payload.length === 0) continue;
    kept.push({
      sequence,
      letter: JSON.parse(Buffer.from(payload).toString('utf8')) as KeptLetter['letter'],
    });
  }
  return kept;
}

async function findLetter(door: NatsDoor, names: SegmentNames, id: string): Promise<KeptLetter> {
  const found = (await allLetters(door, names, {})).findLast(({ letter }) => letter.id === id);
  if (!found) throw new CommandFailure(EXIT.notFound, `no dead letter ${id} in ${names.segment}`);
  return found;
}

async function redriveLetters(
  door: NatsDoor,
  names: SegmentNames,
  letters: readonly DeadLetter[],
): Promise<void> {
  const appender = createEventLogAppender(door, names, {});
  try {
    for (let at = 0; at < letters.length; at += REDRIVE_AT_ONCE) {
      const outcome = await appender.append(letters.slice(at, at + REDRIVE_AT_ONCE).map(originalOf));
      if (outcome.kind === 'stored') continue;
      const reason = 'reason' in outcome ? outcome.reason : outcome.kind;
      throw new CommandFailure(EXIT.unreachable, `${at} of ${letters.length} appended, then: ${reason}`);
    }
  } finally {
    await appender.close();
  }
}

function sourceOf({ envelope }: DeadLetter): EventSource {
  if (envelope?.type === 'event') return 'ingest';
  return envelope?.type === 'link' || envelope?.type === 'row' ? 'batch' : 'command';
}

/** The message as it stood in the log, for the same shard. A timer comes back as a command: only the server fires timers. */
function originalOf(letter: DeadLetter): LogAppend {
  const payload = letter.envelope
    ? Buffer.from(JSON.stringify({ ...letter.envelope, replyTo: undefined, traceparent: undefined }))
    : Buffer.from(letter.payloadBase64 ?? '', 'base64');
  return { shard: letter.shard, source: sourceOf(letter), payload };
}
