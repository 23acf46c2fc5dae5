import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { locateJsonError } from '../../../gateway/events/locate-json-error.ts';

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Texts near JSON: valid ones with one place changed, and soups of its tokens. */
const nearJson = fc.oneof(
  fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', '"', '{', '}', ',', ':', '\\', '\n', '0', 'e', ' '))
    .map(([text, at, put]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + put + text.slice(place + 1);
    }),
  fc
    .array(
      fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"a"',
        '1',
        '-',
        '0.5',
        'e9',
        'true',
        'null',
        ' ',
        '"\\u00',
        '\t',
      ),
      {
        maxLength: 14,
      },
    )
    .map((tokens) => tokens.join('')),
);

describe('locateJsonError', () => {
  it.each([
    ['{bad}', 1, 1, 2],
    ['{"a":1,}', 7, 1, 8],
    ['{\n  "a": 1\n  "b": 2\n}', 13, 3, 3],
    ['[1, 2', 5, 1, 6],
    ['"open', 5, 1, 6],
    ['"a\\x"', 3, 1, 4],
    ['"\\u12g4"', 3, 1, 4],
    ['', 0, 1, 1],
    ['{} {}', 3, 1, 4],
    ['"tab\there"', 4, 1, 5],
    ['01', 1, 1, 2],
  ])('%j: offset %i, line %i, column %i', (text, offset, line, column) => {
    expect(locateJsonError(text)).toEqual({ offset, line, column });
  });

  it('agrees with JSON.parse on what is JSON', () => {
    fc.assert(
      fc.property(nearJson, (text) => {
        expect(locateJsonError(text) === undefined).toBe(isJson(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it('finds no fault before the place at which a sound text was cut', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), (text, at) => {
        const cut = text.slice(0, at % text.length);
        const fault = locateJsonError(cut);
        // A cut number or word can be whole JSON; a fault is never before the last token.
        if (fault !== undefined) expect(isJson(cut.slice(0, fault.offset)) || !isJson(cut)).toBe(true);
      }),
    );
  });

  it('takes megabytes of one token or of nesting without running out of stack', () => {
    const n = 5_000_000;
    expect(locateJsonError(`"${'a'.repeat(n)}`)?.offset).toBe(n + 1);
    expect(locateJsonError(`"${'\\n'.repeat(n / 2)}`)?.offset).toBe(n + 1);
    expect(locateJsonError(`${'1'.repeat(n)}x`)?.offset).toBe(n);
    expect(locateJsonError(`1${' '.repeat(n)}x`)?.offset).toBe(n + 1);
    expect(locateJsonError('['.repeat(n))?.offset).toBe(n);
  });
});
