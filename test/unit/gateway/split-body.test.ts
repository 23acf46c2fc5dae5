import { describe, expect, it } from 'vitest';
import { type EventItem, splitBody } from '../../../gateway/events/split-body.ts';
import type { BodyForm } from '../../../gateway/http/media-type.ts';
import { StitchworkError } from '../../../shared/kernel/errors.ts';

function split(body: string | Buffer, form: BodyForm = 'json', max = 500): readonly EventItem[] {
  return splitBody(Buffer.from(body as string), form, max);
}

function kinds(items: readonly EventItem[]): string {
  return items.map((item) => (item.kind === 'value' ? 'v' : 'x')).join('');
}

function refusal(work: () => unknown): StitchworkError {
  try {
    work();
  } catch (error) {
    if (error instanceof StitchworkError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const A = '{"name":"a"}';
const B = '{"name":"b"}';

describe('splitBody, one document', () => {
  it.each([
    ['one event', A, 1],
    ['an array', `[${A},${B}]`, 2],
    ['{ events }', `{"events":[${A},${B}]}`, 2],
    ['an event that has a property called events', '{"name":"a","events":[1,2]}', 1],
    ['a byte order mark', `\ufeff${A}`, 1],
    ['white space around', `\r\n  ${A} \n\n`, 1],
    ['an array over many lines', `[\n${A},\n${B}\n]`, 2],
  ])('%s', (_name, body, count) => {
    expect(kinds(split(body))).toBe('v'.repeat(count));
  });

  it.each(['', '  \n \r\n', '[]', '{"events":[]}'])('refuses %j: there is no event', (body) => {
    expect(refusal(() => split(body))).toMatchObject({ code: 'BAD_REQUEST' });
  });

  it.each(['42', 'null', '"text"', '{"events":{}}', '{"events":null}'])('refuses %j: not events', (body) => {
    expect(refusal(() => split(body)).code).toBe('BAD_REQUEST');
  });

  it('tells where a broken document breaks', () => {
    const error = refusal(() => split(`[\n${A},\n{"name" "b"}\n]`));
    expect(error.code).toBe('BAD_REQUEST');
    expect(error.details).toEqual([{ offset: 24, line: 3, column: 9 }]);
    expect(error.message).toContain('line 3, column 9');
  });

  it('tells which byte is not UTF-8', () => {
    const body = Buffer.concat([Buffer.from('{"name":"é'), Buffer.from([0xff, 0x61]), Buffer.from('"}')]);
    expect(refusal(() => split(body)).details).toEqual([{ byte: 11 }]);
  });

  it('accepts nothing of a broken array whose last line happens to be a whole event', () => {
    expect(refusal(() => split(`[\n${A},\n${B}\n`)).code).toBe('BAD_REQUEST');
    expect(refusal(() => split(`{"events":[\n${A},\n${B}`)).code).toBe('BAD_REQUEST');
  });

  it('counts events before it looks at them', () => {
    expect(split(`[${Array(500).fill('1').join()}]`)).toHaveLength(500);
    expect(refusal(() => split(`[${Array(501).fill('1').join()}]`)).code).toBe('TOO_MANY_EVENTS');
    expect(refusal(() => split(`{"events":[${Array(501).fill('1').join()}]}`)).code).toBe('TOO_MANY_EVENTS');
  });

  it('reads nesting as deep as the body is long', () => {
    const deep = '['.repeat(2_000_000) + ']'.repeat(2_000_000);
    expect(kinds(split(`{"name":${deep}}`))).toBe('v');
    expect(refusal(() => split('['.repeat(4_000_000))).code).toBe('BAD_REQUEST');
  });
});

describe('splitBody, a document a line', () => {
  it.each<[string, string, BodyForm, string]>([
    ['as announced', `${A}\n${B}\n`, 'lines', 'vv'],
    ['one line', A, 'lines', 'v'],
    ['blank lines and CRLF', `\r\n${A}\r\n\r\n${B}\r\n`, 'lines', 'vv'],
    ['a broken line among sound ones', `${A}\n{"name":\n${B}`, 'lines', 'vxv'],
    ['all broken', 'x\ny', 'lines', 'xx'],
    ['labelled JSON', `${A}\n${B}`, 'json', 'vv'],
    ['labelled JSON, a later line broken', `${A}\n{oops\n${B}`, 'json', 'vxv'],
    ['labelled JSON, the first line broken', `{oops}\n${B}`, 'json', 'xv'],
  ])('%s', (_name, body, form, expected) => {
    expect(kinds(split(body, form))).toBe(expected);
  });

  it('names the line and column of a broken line', () => {
    const items = split(`\n${A}\n{"name" 1}`, 'lines');
    expect(items[1]).toEqual({ kind: 'broken', message: 'Line 3 is not JSON: at column 9' });
  });

  it('breaks only the line that is not UTF-8', () => {
    const body = Buffer.concat([
      Buffer.from(`${A}\n{"name":"`),
      Buffer.from([0xc3, 0x28]),
      Buffer.from(`"}\n${B}`),
    ]);
    expect(kinds(splitBody(body, 'lines', 500))).toBe('vxv');
    expect(kinds(splitBody(body, 'json', 500))).toBe('vxv');
  });

  it('counts lines that hold something', () => {
    const lines = (n: number) => `${Array(n).fill(A).join('\n\n')}\n`;
    expect(split(lines(500), 'lines')).toHaveLength(500);
    expect(refusal(() => split(lines(501), 'lines')).code).toBe('TOO_MANY_EVENTS');
    expect(refusal(() => split(lines(501), 'json')).code).toBe('TOO_MANY_EVENTS');
  });
});
