import { describe, expect, it } from 'vitest';
import { EVENT_DEPTH_MAX, sanitize } from '../../../gateway/events/sanitize.ts';

function nested(levels: number): unknown {
  return JSON.parse('['.repeat(levels) + ']'.repeat(levels));
}

describe('sanitize', () => {
  it('takes the deepest nesting allowed and no deeper', () => {
    expect(sanitize(nested(EVENT_DEPTH_MAX))).toBe(true);
    expect(sanitize(nested(EVENT_DEPTH_MAX + 1))).toBe(false);
    expect(sanitize(nested(1_000_000))).toBe(false);
  });

  it('removes own __proto__ keys at every level and nothing else', () => {
    const value: unknown = JSON.parse(
      '{"__proto__":{"a":1},"b":[{"__proto__":2,"c":3}],"constructor":{"d":4}}',
    );
    expect(sanitize(value)).toBe(true);
    expect(JSON.stringify(value)).toBe('{"b":[{"c":3}],"constructor":{"d":4}}');
  });

  it.each([1, 'text', null, true])('leaves %j alone', (value) => {
    expect(sanitize(value)).toBe(true);
  });
});
