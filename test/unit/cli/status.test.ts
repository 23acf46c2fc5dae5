// `stitchwork status` against a gateway of the test's own: tables, JSON, and watching until interrupted.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { styleFor } from '../../../infra/cli/io.ts';
import { describeStatus, type StatusAnswer, summarizeStatus } from '../../../infra/cli/status-view.ts';
import { showSize } from '../../../infra/show-size.ts';
import { runCommand } from './run.ts';

const ACTIVITY = {
  conflicts: 2,
  fences: 1,
  unknownOutcomes: 3,
  deadLetters: 4,
  commitsPerSecond: 5.5,
  eventsPerSecond: 600.1,
  residents: { count: 7, bytes: 8_000_000 },
  hotWrites: [
    { record: 'p.1', count: 9 },
    { record: 'p.2', count: 5 },
  ],
  hotConflicts: [{ record: 'k.email.#abcd', count: 2 }],
};
const WORKER = { startedAt: '2026-11-22T09:00:00.000Z', configVersion: 3, configSince: null, shards: 1 };

const STATUS: StatusAnswer = {
  segments: [
    {
      name: 'shop',
      configVersion: 3,
      lag: 12,
      lastCommitAt: '2026-11-22T10:15:00.000Z',
      shards: [
        { shard: 0, owner: 'w1', lag: 12, lastCommitAt: '2026-11-22T10:15:00.000Z' },
        { shard: 1, owner: null, lag: 0, lastCommitAt: null },
      ],
      alarms: [{ code: 'LOG_TRUNCATED', reason: 'shorter', shard: 1, worker: 'w2' }],
      workers: [
        { id: 'w1', ...WORKER, activity: ACTIVITY },
        { id: 'w2', ...WORKER, activity: { ...ACTIVITY, hotWrites: [{ record: 'p.2', count: 6 }] } },
        { id: 'old', ...WORKER, activity: null },
      ],
      copies: [
        { name: 'audit', lag: 3, running: true, error: null },
        { name: 'dead', lag: 0, running: false, error: 'stream not found' },
      ],
      log: { messages: 10, bytes: 5_000_000_000, bytesMax: 10_000_000_000 },
    },
  ],
  workers: [{ id: 'w1', startedAt: '2026-11-22T09:00:00.000Z' }],
};

describe('for people', () => {
  const lines = describeStatus(STATUS, true, styleFor(false));
  const row = (start: RegExp) => lines.find((line) => start.test(line));

  it('begins with what is wrong', () => {
    expect(lines[0]).toBe('ALARM LOG_TRUNCATED shop, shard 1, w2: shorter');
  });

  it('has a row for each segment, worker, copy and shard', () => {
    expect(row(/^shop /)).toMatch(/^shop +3 +1\/2 +12 +2026-11-22T10:15:00.000Z +5.0 GB \(50 %\)$/);
    expect(row(/^w1 /)).toMatch(/600.1 +5.5 +2 +1 +3 +4 +7 \(8.0 MB\)$/);
    expect(row(/^old /)).toMatch(/1 +(- +){6}-$/);
    expect(row(/^audit /)).toMatch(/3 +running$/);
    expect(row(/^dead /)).toMatch(/0 +STANDS STILL: stream not found$/);
    expect(row(/^1 /)).toMatch(/^1 +shop +- +0 +-$/);
  });

  it('adds up the hottest records over workers, most first', () => {
    const at = (start: string) => lines.findIndex((line) => line.startsWith(start));
    expect(lines[at('p.2')]).toMatch(/11 +-$/);
    expect(lines[at('p.1')]).toMatch(/9 +-$/);
    expect(lines[at('k.email.#abcd')]).toMatch(/- +4$/);
    expect(at('p.2')).toBeLessThan(at('p.1'));
  });

  it('fits into a line for a log', () => {
    expect(summarizeStatus(STATUS)).toBe(
      'shop owned=1/2 lag=12 events/s=1200.2 commits/s=11 conflicts=4 copies_lag=3 alarms=1',
    );
  });

  it('shows sizes in few digits', () => {
    expect([0, 999, 1000, 123_456, 999_999_999, 5e12].map(showSize)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '123 kB',
      '1000 MB',
      '5.0 TB',
    ]);
  });
});

describe('watching', () => {
  let server: Server;
  let url: string;
  let answers: number;
  let broken: ReadonlySet<number>;
  let interrupt: AbortController;

  beforeAll(async () => {
    server = createServer((_request, response) => {
      answers += 1;
      if (broken.has(answers))
        response.writeHead(503).end('{"error":{"code":"NOT_READY","message":"stopping"}}');
      else response.writeHead(200).end(JSON.stringify(STATUS));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());
  beforeEach(() => {
    answers = 0;
    broken = new Set();
    interrupt = new AbortController();
  });

  function watch(args: readonly string[], terminal = false) {
    let shown = 0;
    const onOut = () => {
      shown += 1;
      if (shown === 2) interrupt.abort(new Error('SIGINT'));
    };
    return runCommand(['status', '--watch', '--url', url, ...args], {
      interrupt: interrupt.signal,
      onOut,
      terminal,
    });
  }

  it('prints a line each time where there is no terminal, and ends well when interrupted', async () => {
    const { code, out, err } = await watch([]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out.split('\n')).toEqual([
      expect.stringMatching(/^\d{4}-.*Z shop owned=1\/2 lag=12 /),
      expect.stringMatching(/^\d{4}-.*Z shop owned=1\/2 lag=12 /),
    ]);
  });

  it('prints one JSON document a line with --json', async () => {
    const { out } = await watch(['--json']);
    const documents = out.split('\n').map((line) => JSON.parse(line) as object);
    expect(documents).toEqual([
      { time: expect.any(String), ...STATUS },
      { time: expect.any(String), ...STATUS },
    ]);
  });

  it('draws the tables again on a terminal', async () => {
    const { out } = await watch([], true);
    expect(out.match(/SEGMENT +CONFIG/g)).toHaveLength(2);
  });

  it('waits for a gateway that is gone for a while, and says so', async () => {
    broken = new Set([2]);
    const { code, err } = await watch([]);
    expect(code).toBe(0);
    expect(err).toContain('NOT_READY');
    expect(answers).toBe(3);
  });

  it('fails when nothing answers from the start', async () => {
    expect((await runCommand(['status', '--watch', '--url', 'http://127.0.0.1:1'])).code).toBe(4);
  });
});
