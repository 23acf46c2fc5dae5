// Where a text stops being JSON. JSON.parse does not always say, so a failed text is scanned again by RFC 8259.
// Iterative: nesting costs heap, never stack.

export interface JsonFault {
  /** In UTF-16 code units from the start. */
  readonly offset: number;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 code units. */
  readonly column: number;
}

const SPACE = /[ \t\n\r]*/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const HEX4 = /[0-9a-fA-F]{4}/y;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

type Expecting = 'value' | 'value_or_end' | 'key' | 'key_or_end' | 'colon' | 'comma_or_end';

/** The first place at which the text cannot be JSON, undefined when it is JSON. */
export function locateJsonError(text: string): JsonFault | undefined {
  const open: ('{' | '[')[] = [];
  let expecting: Expecting = 'value';
  let at = 0;
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  };
  for (;;) {
    take(SPACE);
    const char = text[at];
    if (expecting === 'comma_or_end' && open.length === 0)
      return at === text.length ? undefined : faultAt(text, at);
    if (char === undefined) return faultAt(text, at);
    const next = step(char);
    if (next === undefined) return faultAt(text, at);
    expecting = next;
  }

  function step(char: string): Expecting | undefined {
    switch (expecting) {
      case 'colon':
        return char === ':' ? advance('value') : undefined;
      case 'comma_or_end':
        if (char === ',') return advance(open.at(-1) === '{' ? 'key' : 'value');
        return char === closerOf(open.at(-1)) ? close() : undefined;
      case 'key':
      case 'key_or_end':
        if (char === '}' && expecting === 'key_or_end') return close();
        return string() ? 'colon' : undefined;
      case 'value':
      case 'value_or_end':
        if (char === ']' && expecting === 'value_or_end') return close();
        return value(char);
    }
  }

  function value(char: string): Expecting | undefined {
    if (char === '{' || char === '[') {
      open.push(char);
      return advance(char === '{' ? 'key_or_end' : 'value_or_end');
    }
    if (char === '"') return string() ? 'comma_or_end' : undefined;
    return take(SCALAR) ? 'comma_or_end' : undefined;
  }

  /** Moves behind a string, or to the first place that cannot be one. By hand: a long string must not cost stack. */
  function string(): boolean {
    if (text.charCodeAt(at) !== QUOTE) return false;
    at += 1;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        at += 1;
        return true;
      }
      // The code is NaN behind the end of the text.
      if (!(code >= 0x20)) return false;
      at += 1;
      if (code === BACKSLASH && !escapeSequence()) return false;
    }
  }

  function escapeSequence(): boolean {
    const char = text[at];
    if (char === undefined || !'"\\/bfnrtu'.includes(char)) return false;
    at += 1;
    return char !== 'u' || take(HEX4);
  }

  function advance(next: Expecting): Expecting {
    at += 1;
    return next;
  }

  function close(): Expecting {
    open.pop();
    return advance('comma_or_end');
  }
}

function closerOf(opener: '{' | '[' | undefined): string {
  return opener === '{' ? '}' : ']';
}

function faultAt(text: string, offset: number): JsonFault {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return { offset, line, column: offset - (before.lastIndexOf('\n') + 1) + 1 };
}
