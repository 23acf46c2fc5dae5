// `stitchwork activations`: what was decided, and every attempt to deliver it, newest first. Asks the gateway again while it
// has not looked far enough for what was asked.
import type { Command } from 'commander';
import type { DeliveryEntry } from '../../shared/contract/delivery.ts';
import type { Activation } from '../../shared/contract/outbox.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { attemptLine, decisionLine } from './activation-lines.ts';
import { type ApiTarget, apiGet } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withApiFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';

interface ActivationFlags extends ClientFlags {
  readonly json?: boolean;
  readonly id?: string;
  readonly name?: string;
  readonly destination?: string;
  readonly outcome?: string;
  readonly profile?: string;
  readonly message?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit: string;
}

type ToldActivation = { readonly writtenAt: string; readonly activationId: string } & (
  | ({ readonly kind: 'decided' } & Omit<Activation, 'id'>)
  | ({ readonly kind: 'attempt' } & DeliveryEntry)
);

interface ActivationsAnswer {
  readonly entries: readonly ToldActivation[];
  readonly complete: boolean;
  readonly next?: string;
  readonly scanned: number;
}

/** Entries that one request may ask for. */
const PAGE_MAX = 1000;

export function addActivations(program: Command, io: Io): void {
  const command = program
    .command('activations')
    .description('activations that were decided and every attempt to deliver them, newest first')
    .option('--id <id>', 'entries of this activation')
    .option('--name <name>', 'entries of activations of this name')
    .option('--destination <name>', 'entries of activations that go there')
    .option('--outcome <kinds>', 'decided, delivered, retrying, failed, comma-separated')
    .option('--profile <id>', 'entries of this profile; of a retired id also of its survivor')
    .option('--message <id>', 'entries of activations that this event caused')
    .option('--since <time>', 'written since then: ISO 8601, or how long ago such as 2h')
    .option('--until <time>', 'written before then')
    .option('-n, --limit <number>', 'entries, at most', '100');
  withExample(
    withApiFlags(command),
    'stitchwork activations --outcome failed --since 1d',
    'stitchwork activations --destination crm --json | jq .latencyMs',
  );
  command.action(async (flags: ActivationFlags) => {
    const limit = limitOf(flags.limit);
    const interrupted = io.interruptible();
    const target = adminTarget(clientSettings(flags, io));
    let shown = 0;
    for await (const entry of entriesOf(target, flags, limit, interrupted, io)) {
      shown += 1;
      io.out(flags.json ? JSON.stringify(entry) : lineOf(entry, io));
    }
    if (shown === 0) io.talk('nothing in the log of activations is of this kind');
  });
}

/** Entries over as many requests as it takes. */
async function* entriesOf(
  target: ApiTarget,
  flags: ActivationFlags,
  limit: number,
  interrupted: AbortSignal,
  io: Io,
): AsyncIterable<ToldActivation> {
  let left = limit;
  let scanned = 0;
  for (let cursor: string | undefined, isFirst = true; left > 0 && (isFirst || cursor); isFirst = false) {
    if (interrupted.aborted) return;
    const query = queryOf(flags, Math.min(left, PAGE_MAX), cursor);
    const answer = (await apiGet(target, `/v1/activations?${query}`)) as ActivationsAnswer;
    yield* answer.entries;
    left -= answer.entries.length;
    scanned += answer.scanned;
    cursor = answer.complete ? undefined : answer.next;
    if (cursor !== undefined && left > 0) io.progress(`${scanned} entries looked at, ${limit - left} found`);
  }
}

function queryOf(flags: ActivationFlags, limit: number, cursor: string | undefined): URLSearchParams {
  const { id, name, destination, outcome, profile, message, since, until } = flags;
  const parts = {
    id,
    name,
    destination,
    outcome,
    profile,
    messageId: message,
    from: since,
    to: until,
    next: cursor,
  };
  const query = new URLSearchParams({ limit: String(limit) });
  for (const [field, value] of Object.entries(parts)) if (value !== undefined) query.set(field, value);
  return query;
}

function lineOf(entry: ToldActivation, { style }: Io): string {
  const time = style.dim(entry.kind === 'attempt' ? entry.at : entry.writtenAt);
  const told =
    entry.kind === 'attempt'
      ? attemptLine(entry, style)
      : decisionLine({ ...entry, id: entry.activationId }, style);
  return `${time} ${told}`;
}

function limitOf(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new CommandFailure(EXIT.usage, `--limit ${text}: give a number above 0`);
}
