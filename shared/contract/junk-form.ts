// The form in which values are compared with lists of values that identify nobody, and the entries of such lists. One
// place, so that the check of a config and the check of an event compare alike.

/** Trimmed, unquoted, in lower case. */
export function junkForm(value: string): string {
  return bare(value.trim()).toLowerCase();
}

/** Without the matching quotes around it, however many, and without the blanks around and inside them. */
export function unquote(value: string): string {
  const trimmed = value.trim();
  return isQuoted(trimmed) ? bare(trimmed) : value;
}

function bare(trimmed: string): string {
  let inner = trimmed;
  while (isQuoted(inner)) inner = inner.slice(1, -1).trim();
  return inner;
}

/** By code, since this is asked of every value of every event. */
function isQuoted(value: string): boolean {
  if (value.length < 2) return false;
  const first = value.charCodeAt(0);
  return (
    (first === DOUBLE_QUOTE || first === SINGLE_QUOTE || first === BACKTICK) &&
    value.charCodeAt(value.length - 1) === first
  );
}

const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const BACKTICK = 0x60;

/** The pattern that an entry `/pattern/` of a list holds; undefined: the entry is a literal. */
export function patternIn(entry: string): string | undefined {
  return entry.length > 2 && entry.startsWith('/') && entry.endsWith('/') ? entry.slice(1, -1) : undefined;
}
