// What an address and the headers of a request say: where the record goes, and by which write key.
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { keyOf } from '../../http/auth.ts';

export const NAME = '[a-z0-9_]{3,128}';

export const Place = Type.Object({
  database: Type.String({ pattern: `^${NAME}$` }),
  table: Type.String({ pattern: `^${NAME}$` }),
});

/** What columns are filled with that ask for it. */
export function filledFrom({ ip, headers }: FastifyRequest): { td_ip: string; td_ua: string | undefined } {
  return { td_ip: ip, td_ua: headers['user-agent'] };
}

export function placeOf(request: FastifyRequest): { readonly database: string; readonly table: string } {
  return request.params as { readonly database: string; readonly table: string };
}

/** `Authorization` wins; postbacks have it in a header of their own, or in the address. */
export function writeKeyOf({ headers, query }: FastifyRequest): string | undefined {
  const { authorization } = headers;
  const own = /^TD1 +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? keyOf(authorization);
  if (own !== undefined) return own;
  const { 'x-td-write-key': header } = headers;
  if (typeof header === 'string' && header !== '') return header;
  const { td_write_key: inQuery } = query as { readonly td_write_key?: unknown };
  return typeof inQuery === 'string' ? inQuery : undefined;
}
