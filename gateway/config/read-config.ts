// The text of a segment config as a request brings it: every problem in one answer, or the config.
import type { IncomingMessage } from 'node:http';
import type { ConfigText } from '../../shared/contract/config/diff.ts';
import { parseSegmentConfig } from '../../shared/contract/config/parse.ts';
import type { ConfigProblem } from '../../shared/contract/config/problem.ts';
import { mapSource } from '../../shared/contract/config/source-map.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { CONFIG_BYTES_MAX } from '../../shared/ports/config-store.ts';
import type { ByteBudget } from '../http/byte-budget.ts';
import { readBody } from '../http/read-body.ts';

export interface SoundConfig extends ConfigText {
  readonly digest: string;
}

export type ReadConfig =
  | { readonly kind: 'ok'; readonly source: SoundConfig }
  | { readonly kind: 'invalid'; readonly problems: readonly ConfigProblem[] };

/** What curl and the like say of any text they send is taken as well. */
const TEXT_TYPES =
  /^(application\/(json|yaml|x-yaml|octet-stream|x-www-form-urlencoded|[a-z0-9.-]+\+(json|yaml))|text\/(yaml|x-yaml|plain))$/;

/** Reads a config; `segment`: the one that it must be of. */
export function readConfig(yaml: string, segment?: string): ReadConfig {
  const parsed = parseSegmentConfig(yaml);
  if (parsed.kind === 'invalid') return parsed;
  const { config, digest } = parsed;
  if (segment !== undefined && config.segment !== segment) {
    const message = `the config is of segment '${config.segment}', and this is '${segment}'`;
    const problem = mapSource(yaml).problem(['segment'], 'REFERENCE', message, { suggestion: segment });
    return { kind: 'invalid', problems: [problem] };
  }
  return { kind: 'ok', source: { yaml, config, digest } };
}

/** Throws INVALID_CONFIG with every problem. */
export function soundConfig(yaml: string, segment: string, what: string): SoundConfig {
  const read = readConfig(yaml, segment);
  if (read.kind === 'ok') return read.source;
  const [first] = read.problems;
  const more = read.problems.length > 1 ? ` (and ${read.problems.length - 1} more, see details)` : '';
  throw new StitchworkError(
    'INVALID_CONFIG',
    `${what}: line ${first?.line}, ${first?.path || 'the file'}: ${first?.message}${more}`,
    { details: read.problems },
  );
}

/** The body as text. Throws UNSUPPORTED_MEDIA_TYPE, REQUEST_TOO_LARGE, BAD_REQUEST (not UTF-8, empty) or OVERLOADED. */
export async function readTextBody(request: IncomingMessage, budget: ByteBudget): Promise<string> {
  const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  if (type !== '' && !TEXT_TYPES.test(type))
    throw new StitchworkError(
      'UNSUPPORTED_MEDIA_TYPE',
      'The content type must be text/yaml or application/json.',
    );
  const lease = budget.open();
  try {
    const body = await readBody(request, lease, CONFIG_BYTES_MAX);
    if (body.length === 0) throw new StitchworkError('BAD_REQUEST', 'The request has no body.');
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch (error) {
    if (error instanceof TypeError)
      throw new StitchworkError('BAD_REQUEST', 'The body is not UTF-8.', { cause: error });
    throw error;
  } finally {
    lease.release();
  }
}
