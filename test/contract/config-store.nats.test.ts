// The config store on a real server: the common suite, and what only a server can do to it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketStream, bucketSubject, CONFIG_BUCKET } from '../../shared/contract/names.ts';
import { createConfigStore } from '../../shared/nats/config-store.ts';
import { connectNats } from '../../shared/nats/connect.ts';
import { callApi } from '../../shared/nats/jetstream-api.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment } from '../support/segment.ts';
import { eventuallyTrue } from './collector.ts';
import { configStoreContract } from './config-store.contract.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

const CANDIDATE = { digest: 'd', at: '2026-11-23T10:00:00.000Z', by: 'ann', note: null, rollbackOf: null };

configStoreContract('nats-server', async () => {
  const { door, names, close } = await makeSegment(server.url);
  const otherDoor = await connectNats({ url: server.url, name: 'other' });
  return {
    store: createConfigStore(door, names),
    other: createConfigStore(otherDoor, names),
    async close() {
      await otherDoor.close();
      await close();
    },
  };
});

describe('config store: nats-server', () => {
  it('reads versions of the first form, which had their number, digest and text alone', async () => {
    const { door, names, close } = await makeSegment(server.url);
    const old = { version: 1, digest: 'd', yaml: 'segment: x' };
    const subject = bucketSubject(CONFIG_BUCKET, names.configKey);
    await door.request(subject, JSON.stringify(old));
    const store = createConfigStore(door, names);
    expect(await store.current()).toMatchObject({ ...old, by: 'unknown', note: null, rollbackOf: null });
    expect(await store.version(1)).toMatchObject(old);
    expect(await store.entries()).toMatchObject([{ version: 1, digest: 'd', by: 'unknown' }]);
    expect(await store.add({ ...CANDIDATE, yaml: 'b' }, 1)).toMatchObject({ kind: 'added' });
    expect((await store.entries()).map(({ version }) => version)).toEqual([2]);
    await close();
  });

  it('stores no half of a version: neither text nor pointer when one of them is taken', async () => {
    const { door, names, close } = await makeSegment(server.url);
    const store = createConfigStore(door, names);
    await store.add({ ...CANDIDATE, yaml: 'a' }, 0);
    await door.request(bucketSubject(CONFIG_BUCKET, names.configEntryKey(2)), '{}');
    await expect(store.add({ ...CANDIDATE, yaml: 'b' }, 1)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
    expect((await store.current())?.yaml).toBe('a');
    const answer = await callApi(door, `STREAM.MSG.GET.${bucketStream(CONFIG_BUCKET)}`, {
      last_by_subj: bucketSubject(CONFIG_BUCKET, names.configVersionKey(2)),
    });
    expect(answer.kind).toBe('error');
    await close();
  });

  it('goes on watching after the server was killed', async () => {
    const own = await startTestServer();
    const { door, names, close } = await makeSegment(own.url);
    const store = createConfigStore(door, names);
    await store.add({ ...CANDIDATE, yaml: 'a' }, 0);
    const seen: number[] = [];
    const stop = store.watch(({ version }) => void seen.push(version));
    await eventuallyTrue('the first is told', () => seen.includes(1));
    await own.kill();
    await own.restart();
    await eventuallyTrue('it is connected', () => door.connected);
    await store.add({ ...CANDIDATE, yaml: 'b' }, 1);
    await eventuallyTrue('the second is told', () => seen.includes(2));
    stop();
    await close();
    await own.stop();
  }, 30_000);
});
