// The body of a rollback.
import type { Static } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { RollbackBody } from '../http/config-schemas.ts';

/** Throws BAD_REQUEST that says what is wrong. */
export function parseRollback(text: string): Static<typeof RollbackBody> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new StitchworkError('BAD_REQUEST', 'The body is not JSON: {"to": <version>}.', { cause: error });
  }
  if (Check(RollbackBody, body)) return body;
  const details = [...Errors(RollbackBody, body)].map(({ instancePath, message }) => {
    return { path: `body${instancePath}`, message: `body${instancePath}: ${message}` };
  });
  throw new StitchworkError('BAD_REQUEST', details.map(({ message }) => message).join('; '), { details });
}
