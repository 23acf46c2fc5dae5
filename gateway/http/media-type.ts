// Which content types carry events. SDKs label JSON in many ways, so the label only decides between refusing, reading
// one document and reading one document a line.
import { StitchworkError } from '../../shared/kernel/errors.ts';

export type BodyForm = 'json' | 'lines';

const JSON_TYPES = new Set([
  '',
  'application/json',
  'text/json',
  'text/plain',
  'application/x-www-form-urlencoded',
  'application/octet-stream',
  'application/gzip',
  'application/x-gzip',
]);
const LINES_TYPES = new Set([
  'application/x-ndjson',
  'application/ndjson',
  'application/jsonl',
  'application/x-jsonlines',
]);
const CHARSETS = new Set(['utf-8', 'utf8', 'us-ascii']);

/** The form that a content-type header announces. Throws UNSUPPORTED_MEDIA_TYPE. */
export function bodyFormOf(header: string | undefined): BodyForm {
  const [essence = '', ...parameters] = (header ?? '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  const charset = parameters
    .find((p) => p.startsWith('charset='))
    ?.slice('charset='.length)
    .replaceAll('"', '');
  if (charset !== undefined && !CHARSETS.has(charset))
    throw new StitchworkError('UNSUPPORTED_MEDIA_TYPE', 'The charset must be utf-8.');
  if (LINES_TYPES.has(essence)) return 'lines';
  if (JSON_TYPES.has(essence) || /^application\/[a-z0-9.+-]+\+json$/.test(essence)) return 'json';
  throw new StitchworkError(
    'UNSUPPORTED_MEDIA_TYPE',
    'The content type must be application/json or application/x-ndjson.',
  );
}
