// Refusals of a personalization call in Treasure Data's words: `{ code, message }` with its numbers.
import type { FastifyReply } from 'fastify';
import { unreachable } from '../../../shared/kernel/assert.ts';
import { ERRORS, type ErrorCode } from '../../../shared/kernel/errors.ts';
import { markRefused, type Refusal } from '../../http/errors.ts';
import { type Access, refusalOf } from '../../personalize/access.ts';

/** Its numbers, by what they mean. */
const CODE = {
  noToken: 3000,
  unknownToken: 3001,
  otherAccount: 3002,
  badEvent: 3004,
  wrongAddress: 3005,
  wrongKind: 3006,
  wrongOrigin: 3007,
  tooMany: 2003,
  logFault: 2001,
  unknown: 9999,
} as const;

export interface AnswerError {
  readonly code: number;
  readonly message: string;
  /** Under which it is counted, and which gives the status unless that is the client's fault: then it is 400. */
  readonly refusal: Refusal;
}

/** A token that opens nothing to this caller. */
export function accessError(access: Exclude<Access, { kind: 'open' }>): AnswerError {
  const refusal = refusalOf(access);
  return { code: accessCode(access.kind), message: refusal.message, refusal };
}

function accessCode(kind: Exclude<Access['kind'], 'open'>): number {
  switch (kind) {
    case 'no_token':
      return CODE.noToken;
    case 'unknown_token':
      return CODE.unknownToken;
    case 'other_service':
      return CODE.otherAccount;
    case 'wrong_address':
      return CODE.wrongAddress;
    case 'wrong_origin':
    case 'no_origin':
      return CODE.wrongOrigin;
    default:
      return unreachable(kind);
  }
}

/** A token for browsers where a server asks, or the other way round. */
export function wrongKind(isPublic: boolean): AnswerError {
  const message = isPublic
    ? 'The token is of a public service: ask at /public/<database>/<table>.'
    : 'The token is of a service that is not public: it has no business in a browser.';
  return { code: CODE.wrongKind, message, refusal: { code: 'FORBIDDEN', message } };
}

/** A database that the token's segment does not take. */
export function otherDatabase(database: string): AnswerError {
  const message = `The token is not for the database '${database}'.`;
  return { code: CODE.otherAccount, message, refusal: { code: 'FORBIDDEN', message } };
}

/** Anything else that refuses a call. */
export function callError(refusal: Refusal): AnswerError {
  return { code: callCode(refusal.code), message: refusal.message, refusal };
}

function callCode(code: ErrorCode): number {
  if (code === 'UNAUTHORIZED' || code === 'FORBIDDEN') return CODE.otherAccount;
  const { status } = ERRORS[code];
  if (status === 429) return CODE.tooMany;
  if (status === 503) return CODE.logFault;
  return status < 500 ? CODE.badEvent : CODE.unknown;
}

/** The client's faults are 400, whatever they are; 429 and faults of ours keep their status. */
export function refuseAnswer(reply: FastifyReply, { code, message, refusal }: AnswerError): FastifyReply {
  markRefused(reply, refusal);
  const { status } = ERRORS[refusal.code];
  const isClients = status < 500 && status !== 429;
  return reply.code(isClients ? 400 : status).send({ code, message });
}
