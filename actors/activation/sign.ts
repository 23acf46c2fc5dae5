// Signatures of Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over id, time and body, one for each secret, so that a
// receiver accepts requests while a secret is replaced.
import { createHmac } from 'node:crypto';

const BASE64_PREFIX = 'whsec_';

export interface SignedMessage {
  readonly id: string;
  /** Unix time of the attempt, seconds. */
  readonly timestamp: number;
  readonly body: string;
}

/** Bytes of a secret: base64 after `whsec_`, else the text itself. */
export function secretBytes(secret: string): Buffer {
  return secret.startsWith(BASE64_PREFIX)
    ? Buffer.from(secret.slice(BASE64_PREFIX.length), 'base64')
    : Buffer.from(secret, 'utf8');
}

/** Value of the header webhook-signature: `v1,<base64>`, separated by spaces. */
export function signatures({ id, timestamp, body }: SignedMessage, secrets: readonly Buffer[]): string {
  return secrets
    .map(
      (secret) =>
        `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`, 'utf8').digest('base64')}`,
    )
    .join(' ');
}
