// Replies from workers to a gateway that waits, over a real server.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { createReplies, createReplyBoxes } from '../../shared/nats/replies.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';

const SOON_MS = 10_000;
const textOf = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();
let server: TestServer;
let doors: NatsDoor[];

beforeAll(async () => {
  server = await startTestServer();
  const connect = () => connectNats({ url: server.url, name: 'test' });
  doors = [await connect(), await connect()];
});
afterAll(async () => {
  for (const door of doors) await door.close();
  await server.stop();
});

describe('a reply box', () => {
  it('has the first reply of each number as soon as there are enough, and none of another box', async () => {
    const boxes = createReplyBoxes(doors[0]!);
    const [box, other] = [boxes.open(), boxes.open()];
    await doors[0]!.nc.flush();
    const replies = createReplies(doors[1]!);
    replies.send({ to: other.subjectOf(0), body: Buffer.from('other') });
    for (const text of ['a', 'again']) replies.send({ to: box.subjectOf(0), body: Buffer.from(text) });
    replies.send({ to: box.subjectOf(1), body: Buffer.from('b') });
    const got = await box.collect(2, SOON_MS);
    expect([...got].map(([number, body]) => [number, textOf(body)])).toEqual([
      [0, 'a'],
      [1, 'b'],
    ]);
    expect(textOf((await other.collect(1, SOON_MS)).get(0))).toBe('other');
  });

  it('gives what it has at the deadline, and nothing once closed', async () => {
    const boxes = createReplyBoxes(doors[0]!);
    const [box, closed] = [boxes.open(), boxes.open()];
    await doors[0]!.nc.flush();
    closed.close();
    const replies = createReplies(doors[1]!);
    replies.send({ to: closed.subjectOf(0), body: Buffer.from('late') });
    replies.send({ to: box.subjectOf(0), body: Buffer.from('in time') });
    expect((await box.collect(1, SOON_MS)).size).toBe(1);
    expect((await box.collect(2, 20)).size).toBe(1);
    expect((await closed.collect(1, 20)).size).toBe(0);
  });
});
