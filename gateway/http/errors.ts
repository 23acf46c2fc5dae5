// Every failure leaves in one shape: { error: { code, message, details? } }. Nothing of an unexpected error is shown
// but the id of the request, under which it is logged.
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { ERRORS, type ErrorCode, isStitchworkError } from '../../shared/kernel/errors.ts';

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: readonly unknown[] | undefined;
  readonly retryAfterMs?: number | undefined;
}

declare module 'fastify' {
  interface FastifyReply {
    /** The code that the request was refused with. */
    refusedWith: ErrorCode | null;
  }
}

/** Seconds after which to try again, where whoever refuses has no better figure. */
const RETRY_AFTER_MS: Partial<Record<ErrorCode, number>> = {
  OVERLOADED: 1_000,
  LOG_FULL: 10_000,
  LOG_UNAVAILABLE: 2_000,
  STORE_UNAVAILABLE: 2_000,
  NOT_READY: 2_000,
};

/** Answers with a refusal. Retry-After is in whole seconds: the only form that all SDKs read. */
export function refuse(reply: FastifyReply, refusal: Refusal): FastifyReply {
  markRefused(reply, refusal);
  if (refusal.code === 'UNAUTHORIZED')
    reply.header('www-authenticate', 'Bearer realm="stitchwork", Basic realm="stitchwork"');
  return reply
    .code(ERRORS[refusal.code].status)
    .type('application/json; charset=utf-8')
    .send(errorBody(refusal));
}

/** What every refusal has, also one that is answered in the words of another protocol. */
export function markRefused(reply: FastifyReply, { code, retryAfterMs }: Refusal): void {
  reply.refusedWith = code;
  const afterMs = retryAfterMs ?? RETRY_AFTER_MS[code];
  if (afterMs !== undefined) reply.header('retry-after', wholeSeconds(afterMs));
}

export function errorBody(refusal: Refusal): object {
  const { code, message, details } = refusal;
  return { error: details === undefined ? { code, message } : { code, message, details } };
}

/** The error handler of the server. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const refusal = refusalOf(error);
  if (refusal !== undefined) return refuse(reply, refusal);
  request.log.error({ err: error, requestId: request.id }, 'request failed');
  const code = isStitchworkError(error) ? error.code : 'INTERNAL';
  return refuse(reply, { code, message: ERRORS[code].text, details: [{ requestId: request.id }] });
}

/** The refusal that an error stands for, undefined when it is a surprise. */
function refusalOf(error: unknown): Refusal | undefined {
  if (isStitchworkError(error)) {
    const { code, message, details } = error;
    return ERRORS[code].status === 500 ? undefined : { code, message, details };
  }
  return isFrameworkError(error) ? frameworkRefusal(error) : undefined;
}

function isFrameworkError(error: unknown): error is FastifyError {
  return (
    error instanceof Error &&
    ('validation' in error || ('code' in error && String(error.code).startsWith('FST_ERR_')))
  );
}

function frameworkRefusal(error: FastifyError): Refusal | undefined {
  if (error.validation !== undefined) {
    const details = error.validation.flatMap((problem) => describeProblem(error.validationContext, problem));
    return { code: 'BAD_REQUEST', message: details.map((d) => d.message).join('; '), details };
  }
  switch (error.statusCode) {
    case 413:
      return { code: 'REQUEST_TOO_LARGE', message: ERRORS.REQUEST_TOO_LARGE.text };
    case 415:
      return { code: 'UNSUPPORTED_MEDIA_TYPE', message: 'The content-type header cannot be read.' };
    case 400:
      return { code: 'BAD_REQUEST', message: error.message };
    case 414:
      return { code: 'BAD_REQUEST', message: 'A part of the address is too long.' };
    default:
      return undefined;
  }
}

function describeProblem(
  context: string | undefined,
  { instancePath, keyword, message, params }: NonNullable<FastifyError['validation']>[number],
): readonly { readonly path: string; readonly message: string }[] {
  const where = `${context ?? 'request'}${instancePath}`;
  // A parameter that is not among those of the schema is told twice: once as one too many, by its name.
  if (keyword === 'boolean') return [];
  const unknown = params.additionalProperties;
  if (Array.isArray(unknown))
    return unknown.map((name) => ({
      path: `${where}/${name}`,
      message: `${where}: unknown parameter '${name}'`,
    }));
  return [{ path: where, message: `${where}: ${message ?? 'not valid'}` }];
}

function wholeSeconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
}
