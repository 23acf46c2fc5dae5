// `stitchwork audit`: what happened to identities and profiles, and why, newest first. Asks the gateway again while it has
// not looked far enough for what was asked.
import type { Command } from 'commander';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { type ApiTarget, apiGet } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { factLine, printable } from './fact-line.ts';
import { withApiFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';

interface AuditFlags extends ClientFlags {
  readonly json?: boolean;
  readonly profile?: string;
  readonly about?: string;
  readonly kind?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit: string;
}

interface ToldEntry {
  readonly at: string;
  readonly kind: string;
  readonly profileId?: string;
  readonly messageId?: string;
  readonly facts: readonly AuditFact[];
}

interface AuditAnswer {
  readonly entries: readonly ToldEntry[];
  readonly complete: boolean;
  readonly next?: string;
  readonly scanned: number;
}

/** Entries that one request may ask for. */
const PAGE_MAX = 1000;

export function addAudit(program: Command, io: Io): void {
  const command = program
    .command('audit')
    .description('what happened to identities and profiles, and why, newest first')
    .option('--profile <id>', 'entries that name this profile; of a retired id also its survivor')
    .option('--about <key>', 'entries about a stitching key, name:value')
    .option('--kind <kinds>', 'entries with a fact of these kinds, comma-separated')
    .option('--reason <reasons>', 'entries with a fact of these reasons, comma-separated')
    .option('--message <id>', 'the entry of one event')
    .option('--since <time>', 'written since then: ISO 8601, or how long ago such as 2h')
    .option('--until <time>', 'written before then')
    .option('-n, --limit <number>', 'entries, at most', '100');
  withExample(
    withApiFlags(command),
    'stitchwork audit --about email:ann@example.com',
    'stitchwork audit --kind link_refused,key_demoted --since 2h',
    'stitchwork audit --profile 01935c2e-… --json | jq .facts',
  );
  command.action(async (flags: AuditFlags) => {
    const limit = limitOf(flags.limit);
    if (flags.key?.includes(':'))
      throw new CommandFailure(
        EXIT.usage,
        `--key is the API key; entries about a stitching key: --about ${flags.key}`,
      );
    const interrupted = io.interruptible();
    const target = adminTarget(clientSettings(flags, io));
    let shown = 0;
    for await (const entry of entriesOf(target, flags, limit, interrupted, io)) {
      shown += 1;
      io.out(flags.json ? JSON.stringify(entry) : entryLine(entry, io));
    }
    if (shown === 0) io.talk('nothing in the audit log is of this kind');
  });
}

/** Entries over as many requests as it takes. */
async function* entriesOf(
  target: ApiTarget,
  flags: AuditFlags,
  limit: number,
  interrupted: AbortSignal,
  io: Io,
): AsyncIterable<ToldEntry> {
  let left = limit;
  let scanned = 0;
  for (let cursor: string | undefined, isFirst = true; left > 0 && (isFirst || cursor); isFirst = false) {
    if (interrupted.aborted) return;
    const page = Math.min(left, PAGE_MAX);
    const answer = (await apiGet(target, `/v1/audit?${queryOf(flags, page, cursor)}`)) as AuditAnswer;
    yield* answer.entries;
    left -= answer.entries.length;
    scanned += answer.scanned;
    cursor = answer.complete ? undefined : answer.next;
    if (cursor !== undefined && left > 0) io.progress(`${scanned} entries looked at, ${limit - left} found`);
  }
}

function queryOf(flags: AuditFlags, limit: number, cursor: string | undefined): URLSearchParams {
  const { profile, about, kind, reason, message, since, until } = flags;
  const parts = {
    profile,
    key: about,
    kind,
    reason,
    messageId: message,
    from: since,
    to: until,
    next: cursor,
  };
  const query = new URLSearchParams({ limit: String(limit) });
  for (const [name, value] of Object.entries(parts)) if (value !== undefined) query.set(name, value);
  return query;
}

function entryLine({ at, kind, profileId, messageId, facts }: ToldEntry, { style }: Io): string {
  const what = facts.map(factLine).join('; ');
  return `${style.dim(at)} ${style.bold(kind)} profile ${profileId ?? '-'} message ${printable(messageId ?? '-')}: ${what}`;
}

function limitOf(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new CommandFailure(EXIT.usage, `--limit ${text}: give a number above 0`);
}
