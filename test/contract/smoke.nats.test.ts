import { afterAll, beforeAll, expect, it } from 'vitest';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually, makeSegment } from '../support/segment.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

it('stores, reads, conflicts, schedules, copies', async () => {
  const { door, names, close } = await makeSegment(server.url);
  const store = createRecordStore(door, names);
  const value = Buffer.from('v1');
  const a = await store.commit([
    { kind: 'put', key: 'p.1', value, expect: 0 },
    { kind: 'put', key: 's.1', value, expect: 0 },
    { kind: 'append', key: 'o.activation.mail.a1', value: Buffer.from('{"id":"a1"}') },
    {
      kind: 'schedule',
      key: 't.1.x',
      target: 'f.3.1.x.1',
      atMs: Date.now() + 300,
      value: Buffer.from('{"t":1}'),
    },
  ]);
  expect(a).toEqual({ kind: 'committed', revisions: [1, 2, 3, 4] });
  expect(
    await store.commit([
      { kind: 'put', key: 'p.1', value, expect: 0 },
      { kind: 'put', key: 'p.2', value, expect: 0 },
    ]),
  ).toEqual({ kind: 'conflict', sequence: 1 });
  expect(await store.keyAt(1)).toBe('p.1');
  for (const from of ['replica', 'leader'] as const) {
    const found = await store.read(['p.1', 'p.2'], from);
    expect(found.get('p.1')).toMatchObject({ revision: 1 });
    expect(found.get('p.2')).toMatchObject({ revision: 0, value: null });
  }
  const d = await store.commit([
    { kind: 'delete', key: 'p.1', expect: 1 },
    { kind: 'put', key: 'p.3', value, expect: 0 },
  ]);
  expect(d).toMatchObject({ kind: 'committed' });
  for (const from of ['replica', 'leader'] as const)
    expect((await store.read(['p.1'], from)).get('p.1')).toMatchObject({ value: null, revision: 5 });
  const log = createEventLogReader(door, names);
  const seen: unknown[] = [];
  const reader = log.open(3, 0, () => seen.push(...reader.take(10)));
  const appender = createEventLogAppender(door, names);
  expect(
    await appender.append([
      { shard: 3, source: 'ingest', payload: Buffer.from('x') },
      { shard: 3, source: 'ingest', payload: Buffer.from('y') },
    ]),
  ).toEqual({ kind: 'stored' });
  await eventually('timer and 2', () => seen.length === 3);
  console.log(
    seen,
    await log.state(),
    await log.messageAt(1),
    await log.lastSequenceOf(3),
    await log.countAfter(3, 1),
  );
  const copies = createOutboxCopies(door, names);
  console.log(await copies.states(), await copies.originSequence());
  reader.close();
  await appender.close();
  await close();
});
