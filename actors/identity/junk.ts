// Values that are sent as identifiers and identify nobody. The union of what other systems block (Segment, PostHog,
// Tealium, RudderStack), compared after trimming, unquoting and lowercasing.

const JUNK: ReadonlySet<string> = new Set([
  '',
  '-',
  '.',
  '0',
  '-1',
  'null',
  '(null)',
  '<null>',
  'nil',
  'none',
  'undefined',
  'nan',
  'n/a',
  'na',
  '#n/a',
  'unknown',
  'anonymous',
  'anon',
  'anonymous_id',
  'distinct_id',
  'distinctid',
  'guest',
  'user',
  'visitor',
  'id',
  'userid',
  'user_id',
  'email',
  'not_authenticated',
  'not set',
  '(not set)',
  'notset',
  'not provided',
  '(not provided)',
  'unidentified',
  'default',
  'empty',
  'blank',
  'missing',
  'invalid',
  'error',
  'true',
  'false',
  'yes',
  'no',
  '[object object]',
  'object',
  '{}',
  '[]',
  '00000000-0000-0000-0000-000000000000',
]);

/** Nothing but zeros and separators. */
const ZEROS = /^[0\-_. ]*$/;

/** The form in which junk is compared. */
export function junkForm(value: string): string {
  return unquote(value.trim()).trim().toLowerCase();
}

export function isBuiltInJunk(form: string): boolean {
  return JUNK.has(form) || ZEROS.test(form);
}

/** Without one pair of matching quotes around it. */
export function unquote(value: string): string {
  const first = value[0];
  const quoted =
    value.length >= 2 && first === value.at(-1) && (first === '"' || first === "'" || first === '`');
  return quoted ? value.slice(1, -1) : value;
}
