// What a request asks of the audit log, read from its query: every problem at once, each with its parameter and what was
// meant.
import { normalizeKey } from '../../actors/identity/keys.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import {
  AUDIENCE_REASONS,
  AUDIT_KINDS,
  EVICT_REASONS,
  REFUSE_REASONS,
  REJECT_REASONS,
} from '../../shared/contract/outbox.ts';
import { isoMs } from '../../shared/contract/parse-event.ts';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { NamedKey } from './match-entry.ts';

export const AUDIT_LIMIT = { default: 100, max: 1000 } as const;
const REASONS = [...new Set([...REJECT_REASONS, ...REFUSE_REASONS, ...EVICT_REASONS, ...AUDIENCE_REASONS])];
const ID = /^[0-9A-Za-z_-]{1,64}$/;

/** The parameters as they were sent. */
export type AuditParameters = Partial<
  Record<'profile' | 'key' | 'kind' | 'reason' | 'from' | 'to' | 'messageId' | 'limit' | 'next', string>
>;

export interface AuditQuery {
  readonly profileId: string | undefined;
  readonly keys: readonly NamedKey[] | undefined;
  readonly kinds: readonly string[] | undefined;
  readonly reasons: readonly string[] | undefined;
  readonly messageId: string | undefined;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly limit: number;
  /** Sequence to go on below; undefined: from the newest. */
  readonly before: number | undefined;
}

interface Problem {
  readonly path: string;
  readonly message: string;
}

/** Throws BAD_REQUEST with every problem. */
export function parseAuditQuery(sent: AuditParameters, config: SegmentConfig, nowMs: number): AuditQuery {
  const problems: Problem[] = [];
  /** One parameter; undefined when it was not sent, or is not sound. */
  const read = <T>(name: keyof AuditParameters, reader: (text: string) => T): T | undefined => {
    const text = sent[name];
    if (text === undefined) return undefined;
    try {
      return reader(text);
    } catch (error) {
      if (!(error instanceof Unsound)) throw error;
      problems.push({ path: `querystring/${name}`, message: `${name}: ${error.message}` });
      return undefined;
    }
  };
  const query: AuditQuery = {
    profileId: read('profile', readId),
    keys: read('key', (text) => formsOfKey(text, config)),
    kinds: read('kind', (text) => readWords(text, AUDIT_KINDS, 'kind of audit entry')),
    reasons: read('reason', (text) => readWords(text, REASONS, 'reason')),
    messageId: read('messageId', readMessageId),
    sinceMs: read('from', (text) => readTime(text, nowMs)),
    untilMs: read('to', (text) => readTime(text, nowMs)),
    limit: read('limit', readLimit) ?? AUDIT_LIMIT.default,
    before: read('next', decodeCursor),
  };
  const { sinceMs, untilMs } = query;
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs >= untilMs)
    problems.push({ path: 'querystring/from', message: "from: not before 'to', so nothing is between" });
  if (problems.length === 0) return query;
  throw new StitchworkError('BAD_REQUEST', problems.map(({ message }) => message).join('; '), {
    details: problems,
  });
}

/** A parameter that is not sound; its message says what was meant. */
export class Unsound extends Error {}

export function readId(text: string): string {
  if (ID.test(text)) return text;
  throw new Unsound(`${shown(text)} is no profile id; to ask by a stitching key give key=name:value`);
}

export function readMessageId(text: string): string {
  if (text !== '') return text;
  throw new Unsound('is empty; give the messageId of an event');
}

/** The forms in which entries may name the key. Throws BAD_REQUEST that names the parameter. */
export function parseNamedKey(parameter: string, text: string, config: SegmentConfig): readonly NamedKey[] {
  try {
    return formsOfKey(text, config);
  } catch (error) {
    if (!(error instanceof Unsound)) throw error;
    const message = `${parameter}: ${error.message}`;
    throw new StitchworkError('BAD_REQUEST', message, {
      details: [{ path: `querystring/${parameter}`, message }],
    });
  }
}

function formsOfKey(text: string, config: SegmentConfig): readonly NamedKey[] {
  const colon = text.indexOf(':');
  const name = text.slice(0, Math.max(0, colon));
  const raw = text.slice(colon + 1);
  if (name === '' || raw === '')
    throw new Unsound(`${shown(text)} is no key; give name:value, such as email:ann@example.com`);
  const key = normalizeKey(config, name, raw);
  switch (key.kind) {
    case 'ok':
    case 'observed':
      // Entries of rejected values have them as they were sent.
      return key.value === raw
        ? [{ name, value: raw }]
        : [
            { name, value: key.value },
            { name, value: raw },
          ];
    case 'rejected':
      return [{ name, value: raw }];
    case 'unknown_key': {
      const known = config.stitching.keys.map((declared) => declared.name);
      const meant = didYouMean(name, known);
      const hint = meant ? `did you mean '${meant}'?` : `the config has: ${known.join(', ')}`;
      throw new Unsound(`the config declares no stitching key ${shown(name)}; ${hint}`);
    }
  }
}

export function readWords(text: string, known: readonly string[], what: string): readonly string[] {
  const words = text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
  if (words.length === 0) throw new Unsound(`is empty; one or more of ${known.join(', ')}`);
  for (const word of words) {
    if (known.includes(word)) continue;
    const meant = didYouMean(word, known);
    throw new Unsound(
      `${shown(word)} is no ${what}; ${meant ? `did you mean '${meant}'?` : `there are: ${known.join(', ')}`}`,
    );
  }
  return [...new Set(words)];
}

export function readTime(text: string, nowMs: number): number {
  const agoMs = parseDurationMs(text);
  const ms = agoMs === undefined ? isoMs(text) : Math.max(0, nowMs - agoMs);
  if (ms !== undefined && Number.isFinite(ms) && ms >= 0) return ms;
  throw new Unsound(
    `${shown(text)} is no time; give ISO 8601 such as 2026-11-22T10:15:00Z, or how long ago, such as 2h`,
  );
}

export function readLimit(text: string): number {
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= AUDIT_LIMIT.max) return limit;
  throw new Unsound(`${shown(text)} is no whole number from 1 to ${AUDIT_LIMIT.max}`);
}

/** What `next` is to those who go on with it: nothing that they should read. */
export function encodeCursor(before: number): string {
  return Buffer.from(`audit.${before}`).toString('base64url');
}

function decodeCursor(text: string): number {
  const match = /^audit\.([1-9]\d{0,15})$/.exec(Buffer.from(text, 'base64url').toString());
  if (match) return Number(match[1]);
  throw new Unsound(`${shown(text)} is none; give the next of the answer before`);
}

export function shown(text: string): string {
  return `'${text.slice(0, 64)}'`;
}
