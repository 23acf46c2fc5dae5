// Where tokens of personalization services come from: the environment, and in `dev`, for those that it does not hold, the
// admin key, so that they are the same after a restart.

import { sha256Base64Url } from '../shared/kernel/hash.ts';
import { loadSegmentFiles } from './segment-files.ts';

type SecretOf = (name: string) => string | undefined;

const TOKEN_CHARS = 24;

export const environmentSecret: SecretOf = (name) => process.env[name] || undefined;

/** For one machine alone: whoever knows the admin key knows the tokens. */
export function devSecrets(adminKey: string): SecretOf {
  const made = (name: string) => `token-${sha256Base64Url(`${adminKey} ${name}`, TOKEN_CHARS)}`;
  return (name) => environmentSecret(name) ?? made(name);
}

/** The first token of each service of these files. */
export async function tokensIn(
  files: readonly string[],
  secretOf: SecretOf,
): Promise<Readonly<Record<string, string>>> {
  const tokens: Record<string, string> = {};
  for (const { config } of await loadSegmentFiles(files)) {
    for (const {
      name,
      tokens: [first],
    } of config.personalization) {
      const token = first?.secrets[0] === undefined ? undefined : secretOf(first.secrets[0]);
      if (token !== undefined) tokens[name] = token;
    }
  }
  return tokens;
}
