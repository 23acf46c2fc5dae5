// Who may do what: write keys ingest, admin keys do everything. Keys are compared by their SHA-256 in constant time,
// and every known key is compared, so that the time tells nothing of which one matched.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { StitchworkError } from '../../shared/kernel/errors.ts';

export type Access = 'ingest' | 'admin';
type Role = 'write' | 'admin';

export interface Authenticator {
  /** Throws UNAUTHORIZED without a known key, FORBIDDEN when the key does not reach that far. */
  require(request: FastifyRequest, access: Access): void;
  /** The same of a key that stands elsewhere than in the usual header. */
  requireKey(presented: string | undefined, access: Access): void;
  isKnown(presented: string): boolean;
}

export function createAuthenticator(keys: {
  readonly writeKeys: readonly string[];
  readonly adminKeys: readonly string[];
}): Authenticator {
  const known: { role: Role; digest: Buffer }[] = [
    ...keys.writeKeys.map((key) => ({ role: 'write' as const, digest: digestOf(key) })),
    ...keys.adminKeys.map((key) => ({ role: 'admin' as const, digest: digestOf(key) })),
  ];
  return {
    require(request, access) {
      this.requireKey(keyOf(request.headers.authorization), access);
    },
    requireKey(presented, access) {
      if (presented === undefined)
        throw new StitchworkError('UNAUTHORIZED', 'The request carries no API key.');
      const role = roleOf(presented);
      if (role === undefined) throw new StitchworkError('UNAUTHORIZED', 'The API key is not known here.');
      if (access === 'admin' && role !== 'admin')
        throw new StitchworkError('FORBIDDEN', 'A write key may only send events; this needs an admin key.');
    },
    isKnown: (presented) => roleOf(presented) !== undefined,
  };

  function roleOf(presented: string): Role | undefined {
    const digest = digestOf(presented);
    let found: Role | undefined;
    // Admin keys stand last: a key in both lists is an admin key.
    for (const { role, digest: expected } of known) if (timingSafeEqual(digest, expected)) found = role;
    return found;
  }
}

/** The key of `Bearer <key>` or of `Basic base64(<key>:<anything>)`. */
export function keyOf(header: string | undefined): string | undefined {
  const match = /^(bearer|basic) +(\S+) *$/i.exec(header ?? '');
  if (!match) return undefined;
  const [, scheme, credentials] = match as unknown as [string, string, string];
  if (scheme.toLowerCase() === 'bearer') return credentials;
  const key = Buffer.from(credentials, 'base64').toString('utf8').split(':', 1)[0];
  return key === '' ? undefined : key;
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
