// A message through the archive, by Parquet: it says the same afterwards, whatever stood in it.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readEnvelope } from '../../../actors/profile/parse-message.ts';
import { messageOf, rowOf } from '../../../batch/archive/archive-row.ts';
import { readParquet, writeParquet } from '../../../batch/archive/parquet.ts';
import type { LogMessage } from '../../../shared/ports/event-log.ts';
import { makeRig, type Rig, T0 } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await makeRig();
});
afterAll(() => rig.close());

const message = (payload: string, part: Partial<LogMessage> = {}): LogMessage => ({
  ...{ shard: 3, source: 'ingest', sequence: 1, timeMs: T0 },
  ...part,
  payload: Buffer.from(payload),
});

/** What a payload says: all of its envelope but for whom to answer, with its time as it is used; or its bytes. */
function meaning({ payload, timeMs }: LogMessage): unknown {
  const envelope = readEnvelope(payload);
  if (!envelope) return Buffer.from(payload).toString('base64');
  if (envelope.type !== 'event' && envelope.type !== 'command') return envelope;
  const { replyTo: _, ...said } = envelope;
  if (said.type === 'command') return said;
  const { timestampMs, table, ...event } = said.event;
  const at = Math.min(timestampMs ?? timeMs, timeMs + 300_000);
  return { ...said, event: { ...event, at, ...(table === undefined ? {} : { table }) } };
}

async function throughParquet(messages: readonly LogMessage[]): Promise<readonly LogMessage[]> {
  const path = `${rig.folder}/rows.parquet`;
  await writeParquet(await rig.duck(), messages.map(rowOf), path);
  const found: LogMessage[] = [];
  for await (const rows of readParquet(await rig.duck(), [path], { where: [], values: [], sort: false }))
    found.push(...rows.map(messageOf));
  return found;
}

const event = (part: object, more: object = {}) =>
  JSON.stringify({
    v: 1,
    type: 'event',
    event: { messageId: 'm', name: 'n', keys: {}, properties: {}, ...part },
    ...more,
  });

const EXAMPLES: readonly (readonly [string, string])[] = [
  [
    'an event',
    event({ keys: { email: "o'hara@x.com" }, properties: { a: [1, { b: null }] }, timestampMs: T0 }),
  ],
  [
    'with all its parts',
    event({ table: 't', timestampMs: 5 }, { config: 'shop@3', traceparent: '00-a-b-01' }),
  ],
  ['of no time', event({})],
  [
    'a row',
    JSON.stringify({ v: 1, type: 'row', table: 'crm', run: 3, key: 'email', encodedValue: '=a_B-9' }),
  ],
  [
    'a link',
    JSON.stringify({
      ...{ v: 1, type: 'link', id: 'link-1', by: 'crm', config: 'shop@2', atMs: T0 - 5 },
      keys: [
        { name: 'email', value: 'A@b.c' },
        { name: 'email', value: 'd@e.f' },
      ],
    }),
  ],
  ['a link of no time', JSON.stringify({ v: 1, type: 'link', id: 'l', by: '', keys: [] })],
  ['of a time that is no whole number', event({ timestampMs: 12.5 })],
  ['of a time far ahead', event({ timestampMs: 8.64e15 })],
  ['of a time far back', event({ timestampMs: -8.64e15 })],
  ['with halves of UTF-16 pairs', event({ messageId: '\ud800', properties: { '\udfff': ['x\ud83d'] } })],
  [
    'with NUL characters',
    event({ name: 'a\u0000b', keys: { k: '\u0000' }, properties: { '\u0000': '\u0000' } }),
  ],
  ['with parts of later versions', event({ extra: { deep: 1 } }, { later: [true] })],
  ['with parts named like ours', event({}, { timestampMs: 7, event2: 1 })],
  [
    'with __proto__',
    event({ messageId: 'p' }).replace('"properties":{}', '"properties":{"__proto__":{"a":1}}'),
  ],
  [
    'a timer',
    JSON.stringify({ v: 1, type: 'timer', profileId: 'p', timer: 'expire', generation: 2, dueMs: T0 }),
  ],
  ['a timer of no time', JSON.stringify({ v: 1, type: 'timer', profileId: 'p', timer: 'x', generation: 2 })],
  [
    'a command',
    JSON.stringify({
      ...{ v: 1, type: 'command', id: 'c-1', by: 'ann', at: '2026-11-23T10:00:00.000Z' },
      command: { kind: 'merge', from: 'a', into: 'b', force: true },
    }),
  ],
  ['another version', JSON.stringify({ v: 2, type: 'event' })],
  ['no JSON', '{"v":1'],
  ['nothing', ''],
];

describe('a message through Parquet', () => {
  it.each([1000, 3000, 100_000])('can be nested %i deep', async (depth) => {
    const nested = event({}).replace(
      '"properties":{}',
      `"properties":{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`,
    );
    const [after] = await throughParquet([message(nested)]);
    expect(Buffer.from(after!.payload).toString()).toContain('[[[[');
    expect(Buffer.from(after!.payload).toString().split('[')).toHaveLength(depth + 1);
  });

  it.each(EXAMPLES)('says the same: %s', async (_, payload) => {
    const before = message(payload);
    const [after] = await throughParquet([before]);
    expect(after).toMatchObject({ shard: 3, source: 'ingest', sequence: 1, timeMs: T0 });
    expect(meaning(after!)).toEqual(meaning(before));
  });

  it('bytes that are no text stay as they are', async () => {
    const payload = Uint8Array.from([0, 255, 254, 1]);
    const [after] = await throughParquet([{ ...message(''), payload }]);
    expect([...after!.payload]).toEqual([...payload]);
  });

  it('loses only for whom to answer', async () => {
    const before = message(event({ timestampMs: T0 }, { replyTo: '_INBOX.abc.1' }));
    expect(JSON.parse(Buffer.from(messageOf(rowOf(before)).payload).toString())).not.toHaveProperty(
      'replyTo',
    );
    expect(meaning(messageOf(rowOf(before)))).toEqual(meaning(before));
  });

  it('any event says the same, and every row can be read as JSON', async () => {
    const texts = fc.string({ unit: 'binary', maxLength: 20 });
    const events = fc.record(
      {
        messageId: texts,
        name: texts,
        keys: fc.dictionary(texts, texts),
        properties: fc.dictionary(texts, fc.jsonValue()),
        timestampMs: fc.double({ min: -8.64e15, max: 8.64e15, noNaN: true }),
        table: texts,
      },
      { requiredKeys: ['messageId', 'name', 'keys', 'properties'] },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(events, { minLength: 1, maxLength: 20 }), async (list) => {
        const before = list.map((one, index) => message(event(one), { sequence: index + 1 }));
        const after = await throughParquet(before);
        expect(after.map(meaning)).toEqual(before.map(meaning));
      }),
      { numRuns: 60 },
    );
  });
});
