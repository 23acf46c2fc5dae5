// What a request asks of the log of activations, read from its query: every problem at once, each with its parameter.
import { DELIVERY_OUTCOMES } from '../../shared/contract/delivery.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import {
  readId,
  readLimit,
  readMessageId,
  readTime,
  readWords,
  shown,
  Unsound,
} from '../audit/audit-query.ts';
import type { ActivationFilter, Positions } from './search-activations.ts';

/** What an entry tells: that an activation was decided, or what came of an attempt. */
export const ENTRY_KINDS = ['decided', ...DELIVERY_OUTCOMES] as const;
const DEFAULT_LIMIT = 100;
const NAME = /^[a-z][a-z0-9_]{0,63}$/;

/** The parameters as they were sent. */
export type ActivationParameters = Partial<
  Record<
    'id' | 'name' | 'destination' | 'outcome' | 'profile' | 'messageId' | 'from' | 'to' | 'limit' | 'next',
    string
  >
>;

export interface ActivationQuery {
  readonly profileId: string | undefined;
  readonly filter: Omit<ActivationFilter, 'profileIds'>;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly limit: number;
  /** Where to go on; undefined: from the newest. */
  readonly before: Positions | undefined;
}

/** Throws BAD_REQUEST with every problem. */
export function parseActivationQuery(sent: ActivationParameters, nowMs: number): ActivationQuery {
  const problems: { readonly path: string; readonly message: string }[] = [];
  const read = <T>(name: keyof ActivationParameters, reader: (text: string) => T): T | undefined => {
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
  const query: ActivationQuery = {
    profileId: read('profile', readId),
    filter: {
      id: read('id', readId),
      name: read('name', readName),
      destination: read('destination', readName),
      kinds: read('outcome', (text) => readWords(text, ENTRY_KINDS, 'outcome')),
      messageId: read('messageId', readMessageId),
    },
    sinceMs: read('from', (text) => readTime(text, nowMs)),
    untilMs: read('to', (text) => readTime(text, nowMs)),
    limit: read('limit', readLimit) ?? DEFAULT_LIMIT,
    before: read('next', decodeCursor),
  };
  const { sinceMs, untilMs } = query;
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs >= untilMs)
    problems.push({ path: 'querystring/from', message: "from: not before 'to', so nothing is between" });
  if (problems.length === 0) return query;
  const message = problems.map((problem) => problem.message).join('; ');
  throw new StitchworkError('BAD_REQUEST', message, { details: problems });
}

function readName(text: string): string {
  if (NAME.test(text)) return text;
  throw new Unsound(`${shown(text)} is no name: a-z first, then up to 63 of a-z, 0-9 and _`);
}

/** What `next` is to those who go on with it: nothing that they should read. */
export function encodeCursor({ decisions, attempts }: Positions): string {
  return Buffer.from(`activations.${decisions}.${attempts}`).toString('base64url');
}

function decodeCursor(text: string): Positions {
  const match = /^activations\.(\d{1,16})\.(\d{1,16})$/.exec(Buffer.from(text, 'base64url').toString());
  if (match) return { decisions: Number(match[1]), attempts: Number(match[2]) };
  throw new Unsound(`${shown(text)} is none; give the next of the answer before`);
}
