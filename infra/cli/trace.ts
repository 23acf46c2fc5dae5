// `stitchwork trace`: the way of one event, from the log to the answers of destinations, with times.
import type { Command } from 'commander';
import type { ClientFlags } from '../../shared/settings.ts';
import { type EventTrace, traceEvent } from '../trace-event.ts';
import { attemptLine, decisionLine } from './activation-lines.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { factLine, printable } from './fact-line.ts';
import { withExample, withNatsFlags } from './flags.ts';
import type { Io } from './io.ts';
import { withNats } from './nats-context.ts';

interface TraceFlags extends ClientFlags {
  readonly json?: boolean;
  readonly entries: string;
}

/** One thing that happened, for people and as JSON. */
interface Step {
  readonly step: 'logged' | 'committed' | 'dead' | 'decided' | 'attempt';
  /** ISO 8601; null: it is not known when. */
  readonly at: string | null;
  /** Since the log had the event. */
  readonly afterMs: number | null;
  readonly text: string;
  readonly detail: object;
}

export function addTrace(program: Command, io: Io): void {
  const command = program
    .command('trace')
    .description(
      'follow one event: log, shard, commit, activations, every attempt to deliver them, with times',
    )
    .argument('<messageId>', 'messageId of the event')
    .option('--entries <number>', 'entries of each log that are looked at, from the newest back', '100000');
  withExample(
    withNatsFlags(command),
    'stitchwork trace m-4711',
    'stitchwork trace m-4711 --json | jq .afterMs',
  );
  command.action(async (messageId: string, flags: TraceFlags) => {
    const entries = /^[1-9]\d{0,8}$/.test(flags.entries) ? Number(flags.entries) : undefined;
    if (entries === undefined)
      throw new CommandFailure(EXIT.usage, `--entries ${flags.entries}: give a number above 0`);
    const signal = io.interruptible();
    await withNats(flags, io, async (door, names) => {
      const trace = await traceEvent(door, names, messageId, { clock: io.clock, entries, signal });
      if (!trace) {
        const where = `the newest ${entries} entries of the event log of ${names.segment}`;
        throw new CommandFailure(EXIT.notFound, `no event ${printable(messageId)} in ${where}`);
      }
      for (const step of stepsOf(trace, io))
        io.out(flags.json ? JSON.stringify(withoutText(step)) : lineOf(step, io));
      if (!trace.complete) io.talk(`there is more than ${entries} entries: older ones were not looked at`);
    });
  });
}

function stepsOf(trace: EventTrace, io: Io): readonly Step[] {
  const { event, audit, activations } = trace;
  const step = (kind: Step['step'], atMs: number | null, text: string, detail: object): Step => ({
    step: kind,
    at: atMs === null ? null : new Date(atMs).toISOString(),
    afterMs: atMs === null ? null : atMs - event.timeMs,
    text,
    detail,
  });
  const told = activations.map((found) =>
    found.kind === 'decided'
      ? step('decided', found.writtenAtMs, decisionLine(found.activation, io.style), found.activation)
      : step('attempt', Date.parse(found.attempt.at), attemptLine(found.attempt, io.style), found.attempt),
  );
  const written = [...audit.map(({ writtenAtMs }) => writtenAtMs), ...decidedTimes(trace)];
  const { name, keys, timestampMs } = event.envelope.event;
  const { sequence, shard } = event;
  const logged = `${io.style.bold('logged')} ${printable(name)} ${printable(JSON.stringify(keys))} at sequence ${sequence} of shard ${shard}`;
  const sent = timestampMs === undefined ? '' : `, happened ${new Date(timestampMs).toISOString()}`;
  const config = event.envelope.config === undefined ? '' : `, accepted by config ${event.envelope.config}`;
  return [
    step('logged', event.timeMs, `${logged}${sent}${config}`, {
      sequence,
      shard,
      event: event.envelope.event,
    }),
    commitStep(trace, written.length > 0 ? Math.min(...written) : null, step, io),
    ...told.sort((a, b) => Date.parse(a.at!) - Date.parse(b.at!)),
  ];
}

function decidedTimes({ activations }: EventTrace): readonly number[] {
  return activations.flatMap((found) =>
    found.kind === 'decided' && found.activation.redriven === undefined ? [found.writtenAtMs] : [],
  );
}

function commitStep(
  { applied, dead, audit, checkpoint, event }: EventTrace,
  writtenMs: number | null,
  step: (kind: Step['step'], atMs: number | null, text: string, detail: object) => Step,
  { style }: Io,
): Step {
  if (dead) {
    const text = `${style.red('dead letter')} ${dead.id}: ${dead.code}, ${printable(dead.message)}`;
    return step('dead', writtenMs, text, dead);
  }
  if (!applied) {
    const text = `${style.bold('waits')}: shard ${event.shard} is applied up to sequence ${checkpoint}`;
    return step('committed', null, text, { applied, checkpoint });
  }
  const facts = audit.flatMap(({ entry }) => entry.facts);
  const [entry] = audit.map((found) => found.entry);
  const version = entry && `, config ${entry.configVersion}, profile ${entry.profileId ?? '-'}`;
  const told = facts.map(factLine).join('; ');
  const text = `${style.bold('committed')}${version ?? ''}${told === '' ? '' : `: ${told}`}`;
  return step('committed', writtenMs, text, { applied, checkpoint, profileId: entry?.profileId, facts });
}

function lineOf({ at, afterMs, text }: Step, { style }: Io): string {
  const after = afterMs === null ? '' : `+${afterMs} ms`;
  return `${style.dim(at ?? '                        ')} ${after.padStart(10)} ${text}`;
}

function withoutText({ text: _text, ...step }: Step): object {
  return step;
}
