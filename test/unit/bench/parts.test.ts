// Small parts of the bench: HTTP answers, metrics pages, /proc, giving back, the check of counts.
import { describe, expect, it } from 'vitest';
import { parseAnswer, requestBytes } from '../../../infra/bench/load/http-connection.ts';
import { sumOf } from '../../../infra/bench/metrics-page.ts';
import { createOwnership } from '../../../infra/bench/ownership.ts';
import { assertCounts, chunksOf, countViews, taskOf } from '../../../infra/bench/peers/task.ts';
import { cpuTicksOf, readUse } from '../../../infra/bench/process-stat.ts';

describe('HTTP answers', () => {
  const whole = 'HTTP/1.1 202 Accepted\r\nContent-Length: 14\r\n\r\n{"accepted":1}';

  it('are read when they are whole, never before', () => {
    for (let cut = 0; cut < whole.length; cut++)
      expect(parseAnswer(Buffer.from(whole.slice(0, cut)))).toBeUndefined();
    const answer = parseAnswer(Buffer.from(whole));
    expect(answer?.status).toBe(202);
    expect(answer?.body.toString()).toBe('{"accepted":1}');
  });

  it('may come in chunks', () => {
    const head = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
    const body = '5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n';
    expect(parseAnswer(Buffer.from(head + body.slice(0, -2)))).toBeUndefined();
    expect(parseAnswer(Buffer.from(head + body))?.body.toString()).toBe('{"a":1}');
  });

  it('a request counts its body in bytes, not characters', () => {
    const bytes = requestBytes('POST', new URL('http://h:1'), '/v1/events', { key: 'k', body: '"é"' });
    expect(bytes).toContain('content-length: 4\r\n');
    expect(bytes).toContain('authorization: Bearer k\r\n');
    expect(requestBytes('GET', new URL('http://h:1'), '/x', {})).not.toContain('content-');
  });
});

it('a metric is summed over its labels, and no metric with a longer name', () => {
  const page = '# HELP a_total x\na_total{s="1"} 2\na_total{s="b 9"} 3.5\na_total_more 100\n';
  expect(sumOf(page, 'a_total')).toBe(5.5);
  expect(sumOf(page, 'b_total')).toBe(0);
});

describe('/proc', () => {
  it('gives CPU time although a name may hold brackets', () => {
    const fields = ['S', ...Array.from({ length: 20 }, (_, index) => String(index + 1))];
    expect(cpuTicksOf(`12 (a) b) ${fields.join(' ')}`)).toEqual({ own: 11 + 12, endedChildren: 13 + 14 });
  });

  it.runIf(process.platform === 'linux')('tells of this process, and nothing of none', () => {
    expect(readUse(process.pid)?.rssBytes).toBeGreaterThan(1e6);
    expect(readUse(process.pid)?.cpuMs).toBeGreaterThan(0);
    expect(readUse(2 ** 30)).toBeUndefined();
  });
});

describe('ownership', () => {
  it('gives back what is left, newest first, each once, whatever fails', async () => {
    const ownership = createOwnership();
    const closed: string[] = [];
    const own = (name: string) =>
      ownership.own(async () => {
        closed.push(name);
        if (name === 'c') throw new Error('no');
      });
    const closeA = own('a');
    own('b');
    own('c');
    await closeA();
    await ownership.closeAll();
    await ownership.closeAll();
    expect(closed).toEqual(['a', 'c', 'b']);
  });
});

describe('the check of counts', () => {
  const task = taskOf({ profiles: 20, events: 1000, spread: 'zipf', name: 't', seed: 1 });
  const expected = countViews(task.views);

  it('counts a repeated event once', () => {
    expect([...expected.values()].reduce((sum, count) => sum + count, 0)).toBe(990);
  });

  it('passes the right counts and refuses a missing, a double and a foreign view', () => {
    const [visitor, count] = [...expected][0]!;
    expect(() => assertCounts('x', expected, new Map(expected))).not.toThrow();
    expect(() => assertCounts('x', expected, new Map([...expected, [visitor, count - 1]]))).toThrow(visitor);
    expect(() => assertCounts('x', expected, new Map([...expected, [visitor, count + 1]]))).toThrow(visitor);
    expect(() => assertCounts('x', expected, new Map([...expected, ['nobody', 1]]))).toThrow('nobody');
    expect(() => assertCounts('x', expected, new Map([...expected, ['nobody', 0]]))).not.toThrow();
  });

  it('lists are cut without losing the rest', () => {
    expect([...chunksOf([1, 2, 3, 4, 5], 2)]).toEqual([[1, 2], [3, 4], [5]]);
    expect([...chunksOf([], 2)]).toEqual([]);
  });
});
