// What every event log promises (shared/ports/event-log.ts): reader and appender. One suite for the in-memory one and for
// nats-server.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EventLogAppender, EventLogReader, LogAppend } from '../../shared/ports/event-log.ts';
import { Collector, eventuallyTrue } from './collector.ts';

export interface EventLogWorld {
  readonly log: EventLogReader;
  /** An appender of a gateway of its own. */
  appender(): EventLogAppender;
  /** Removes messages up to a sequence. */
  purge(upTo: number): Promise<void>;
  close(): Promise<void>;
}

const message = (shard: number, text: string, source: LogAppend['source'] = 'ingest'): LogAppend => ({
  shard,
  source,
  payload: new TextEncoder().encode(text),
});
const range = (count: number) => Array.from({ length: count }, (_, index) => index);

export function eventLogContract(name: string, make: () => Promise<EventLogWorld>): void {
  describe(`event log: ${name}`, () => {
    let world: EventLogWorld;
    let appender: EventLogAppender;
    beforeEach(async () => {
      world = await make();
      appender = world.appender();
    });
    afterEach(async () => {
      await appender.close();
      await world.close();
    });

    const append = async (...messages: LogAppend[]) =>
      expect(await appender.append(messages)).toEqual({ kind: 'stored' });

    describe('appender', () => {
      it('stores the messages of a request next to one another, in order', async () => {
        const texts = range(500).map((index) => `m${index}`);
        await append(...texts.map((text, index) => message(index % 4, text)));
        const first = (await world.log.state()).firstSequence;
        for (const index of [0, 1, 250, 499]) {
          const found = await world.log.messageAt(first + index);
          expect(found).toMatchObject({ shard: index % 4, source: 'ingest', sequence: first + index });
          expect(new TextDecoder().decode(found!.payload)).toBe(texts[index]);
        }
      });

      it('keeps the source of each message', async () => {
        await append(message(0, 'a', 'ingest'), message(0, 'b', 'command'), message(0, 'c', 'batch'));
        const got = new Collector(world.log, 0);
        await got.until(3);
        expect(got.messages.map(({ source }) => source)).toEqual(['ingest', 'command', 'batch']);
        got.close();
      });

      it('stores each of many requests at once whole, once, in its own order', async () => {
        const gateways = [appender, world.appender()];
        const requests = range(60).map((request) =>
          range(1 + (request % 7)).map((part) => message(1, `${request}.${part}`)),
        );
        const outcomes = await Promise.all(
          requests.map((request, index) => gateways[index % 2]!.append(request)),
        );
        for (const outcome of outcomes) expect(outcome).toEqual({ kind: 'stored' });
        const total = requests.reduce((sum, request) => sum + request.length, 0);
        const got = new Collector(world.log, 1);
        await got.until(total);
        expect(new Set(got.texts).size).toBe(total);
        expect((await world.log.state()).messages).toBe(total);
        for (const [index, request] of requests.entries()) {
          const at = got.texts.indexOf(`${index}.0`);
          expect(got.texts.slice(at, at + request.length)).toEqual(
            request.map((_, part) => `${index}.${part}`),
          );
        }
        got.close();
        await gateways[1]!.close();
      });

      it('takes an empty request, and refuses everything once closed', async () => {
        expect(await appender.append([])).toEqual({ kind: 'stored' });
        expect(appender.reachable).toBe(true);
        const last = appender.append([message(0, 'in flight')]);
        await appender.close();
        expect(await last).toEqual({ kind: 'stored' });
        expect(await appender.append([message(0, 'late')])).toMatchObject({ kind: 'unavailable' });
        expect((await world.log.state()).messages).toBe(1);
      });
    });

    describe('reader', () => {
      it('tells the state of the log', async () => {
        const empty = await world.log.state();
        expect(empty.messages).toBe(0);
        expect(empty.firstSequence).toBe(empty.lastSequence + 1);
        await append(...range(10).map((index) => message(0, `m${index}`)));
        const full = await world.log.state();
        expect(full).toMatchObject({
          createdAt: empty.createdAt,
          messages: 10,
          lastSequence: empty.lastSequence + 10,
        });
        expect(full.bytes).toBeGreaterThan(0);
        await world.purge(full.firstSequence + 3);
        expect(await world.log.state()).toMatchObject({
          messages: 6,
          firstSequence: full.firstSequence + 4,
          lastSequence: full.lastSequence,
        });
        await world.purge(full.lastSequence);
        expect(await world.log.state()).toMatchObject({ messages: 0, firstSequence: full.lastSequence + 1 });
      });

      it('finds single messages, the newest and the number of a shard', async () => {
        await append(message(0, 'a'), message(1, 'b'), message(0, 'c'), message(1, 'd'), message(1, 'e'));
        const { firstSequence: first } = await world.log.state();
        expect(await world.log.lastSequenceOf(0)).toBe(first + 2);
        expect(await world.log.lastSequenceOf(1)).toBe(first + 4);
        expect(await world.log.lastSequenceOf(2)).toBe(0);
        expect(await world.log.countAfter(1, 0)).toBe(3);
        expect(await world.log.countAfter(1, first + 1)).toBe(2);
        expect(await world.log.countAfter(1, first + 4)).toBe(0);
        expect(await world.log.countAfter(2, 0)).toBe(0);
        await world.purge(first);
        expect(await world.log.messageAt(first)).toBeUndefined();
        expect(await world.log.messageAt(first + 99)).toBeUndefined();
        expect(await world.log.messageAt(first + 1)).toMatchObject({ shard: 1, sequence: first + 1 });
      });

      it('gives each message of its shard once, in order, old and new ones', async () => {
        await append(...range(400).map((index) => message(index % 2, `${index}`)));
        const got = [new Collector(world.log, 0), new Collector(world.log, 1)];
        for (const start of range(10)) {
          await append(...range(40).map((index) => message(index % 2, `${400 + start * 40 + index}`)));
        }
        for (const [shard, collector] of got.entries()) {
          await collector.until(400);
          expect(collector.texts).toEqual(range(400).map((index) => `${index * 2 + shard}`));
          const sequences = collector.messages.map(({ sequence }) => sequence);
          expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
          expect(collector.messages.every((found) => found.shard === shard)).toBe(true);
          collector.close();
        }
      });

      it('starts behind the sequence it was given', async () => {
        await append(...range(20).map((index) => message(0, `m${index}`)));
        const { firstSequence } = await world.log.state();
        const got = new Collector(world.log, 0, firstSequence + 14);
        await got.until(5);
        expect(got.texts).toEqual(['m15', 'm16', 'm17', 'm18', 'm19']);
        got.close();
      });

      it('starts at the first message that is kept', async () => {
        await append(...range(10).map((index) => message(0, `m${index}`)));
        const { firstSequence } = await world.log.state();
        await world.purge(firstSequence + 6);
        const got = new Collector(world.log, 0);
        await got.until(3);
        expect(got.texts).toEqual(['m7', 'm8', 'm9']);
        expect(got.reader.fault).toBeUndefined();
        got.close();
      });

      it('gives its time as the log has it', async () => {
        await append(message(0, 'a'), message(0, 'b'));
        const got = new Collector(world.log, 0);
        await got.until(2);
        for (const { sequence, timeMs } of got.messages) {
          expect(timeMs).toBe((await world.log.messageAt(sequence))!.timeMs);
        }
        got.close();
      });

      it('gives no more at a time than asked for, and tells of what comes while some is left', async () => {
        let calls = 0;
        const reader = world.log.open(0, 0, () => {
          calls++;
        });
        await append(message(0, 'a'), message(0, 'b'), message(0, 'c'));
        await eventuallyTrue('three buffered', () => reader.buffered === 3);
        expect(reader.take(1)).toHaveLength(1);
        expect(reader.buffered).toBe(2);
        const before = calls;
        await append(message(0, 'd'));
        await eventuallyTrue('it is told', () => calls > before, 3000);
        const rest = reader.take(100).map(({ payload }) => new TextDecoder().decode(payload));
        expect(rest).toEqual(['b', 'c', 'd']);
        reader.close();
      });

      it('holds a bounded buffer while nobody takes, and says how much is left', async () => {
        for (const start of range(8)) {
          await append(...range(500).map((index) => message(0, `${start * 500 + index}`)));
        }
        const reader = world.log.open(0, 0, () => {});
        await eventuallyTrue(
          'all is known',
          () => reader.buffered > 0 && reader.buffered + reader.pending >= 3900,
        );
        expect(reader.buffered).toBeLessThan(2000);
        const texts: string[] = [];
        await eventuallyTrue('all is taken', () => {
          for (const { payload } of reader.take(97)) texts.push(new TextDecoder().decode(payload));
          return texts.length >= 4000;
        });
        expect(texts).toEqual(range(4000).map((index) => `${index}`));
        reader.close();
      });

      it('is silent once closed', async () => {
        const got = new Collector(world.log, 0);
        await append(message(0, 'a'));
        await got.until(1);
        got.close();
        await append(message(0, 'b'));
        const next = new Collector(world.log, 0);
        await next.until(2);
        expect(got.texts).toEqual(['a']);
        next.close();
      });
    });
  });
}
