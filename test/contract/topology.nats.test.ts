// Streams and buckets on a real server: ensuring them, telling what differs, and what can never be changed.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MEMBERS_BUCKET, type SegmentNames, segmentNames } from '../../shared/contract/names.ts';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { callApi, streamInfo } from '../../shared/nats/jetstream-api.ts';
import {
  describeTopology,
  diffTopology,
  ensureTopology,
  readShards,
  type Topology,
  type TopologyOptions,
} from '../../shared/nats/topology.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';

let server: TestServer;
let door: NatsDoor;
let names: SegmentNames;
let made = 0;

beforeAll(async () => {
  server = await startTestServer();
  door = await connectNats({ url: server.url, name: 'test' });
});
afterAll(async () => {
  await door?.close();
  await server?.stop();
});
beforeEach(() => {
  names = segmentNames(`top-${made++}`);
});

function topologyOf(options: Partial<TopologyOptions> = {}): Topology {
  return describeTopology(names, { shards: 8, eventsBytesMax: 16 * 1024 ** 2, ...options });
}

async function change(stream: string, edit: Record<string, unknown>): Promise<void> {
  const { config } = (await streamInfo(door, stream, 'LOG_UNAVAILABLE'))!;
  const answer = await callApi(door, `STREAM.UPDATE.${stream}`, { ...config, ...edit });
  if (answer.kind !== 'ok') throw new Error(JSON.stringify(answer));
}

/** A door to a server that accepts options it does not know and drops them, as old ones do. */
function droppingDoor(option: string): NatsDoor {
  const request: NatsDoor['request'] = async (subject, payload, options) => {
    const reply = await door.request(subject, payload, options);
    if (reply.kind !== 'reply' || !subject.includes('STREAM.INFO')) return reply;
    const body = reply.msg.json<{ config?: Record<string, unknown> }>();
    if (body.config) delete body.config[option];
    return { kind: 'reply', msg: Object.assign(Object.create(reply.msg), { json: () => body }) };
  };
  return Object.assign(Object.create(door) as NatsDoor, { request });
}

describe('ensure', () => {
  it('makes everything, then finds nothing to do', async () => {
    const topology = topologyOf();
    const missing = await diffTopology(door, topology);
    expect(missing.map(({ stream }) => stream)).toContain(names.eventsStream);
    const done = await ensureTopology(door, topology);
    for (const stream of [names.profilesStream, names.eventsStream, names.activationsStream]) {
      expect(done).toContain(`created ${stream}`);
    }
    expect(await diffTopology(door, topology)).toEqual([]);
    expect(await ensureTopology(door, topology)).toEqual([]);
  });

  it('may be done by several at once', async () => {
    const doors = await Promise.all([1, 2, 3].map(() => connectNats({ url: server.url, name: 'test' })));
    await Promise.all(doors.map((each) => ensureTopology(each, topologyOf())));
    expect(await diffTopology(door, topologyOf())).toEqual([]);
    for (const each of doors) await each.close();
  });

  it('asserts what the design stands on', async () => {
    await ensureTopology(door, topologyOf());
    const config = async (stream: string) => (await streamInfo(door, stream, 'LOG_UNAVAILABLE'))!.config;
    expect(await config(names.profilesStream)).toMatchObject({
      max_msgs_per_subject: 1,
      discard: 'old',
      allow_atomic: true,
      allow_msg_schedules: true,
      allow_msg_ttl: true,
      allow_rollup_hdrs: true,
      allow_direct: true,
      storage: 'file',
    });
    expect((await config(names.profilesStream)).subject_delete_marker_ttl ?? 0).toBe(0);
    const events = await config(names.eventsStream);
    expect(events).toMatchObject({
      discard: 'new',
      max_bytes: 16 * 1024 ** 2,
      max_age: 0,
      allow_atomic: true,
    });
    for (const stream of [names.activationsStream, names.auditStream, names.deadStream, names.eventsStream]) {
      const target = await config(stream);
      expect(target.sources, stream).toMatchObject([{ name: names.profilesStream }]);
      expect(target.allow_msg_ttl ?? false, stream).toBe(false);
      expect(target.allow_rollup_hdrs ?? false, stream).toBe(false);
      if (stream !== names.eventsStream) expect(target.max_age, stream).toBeGreaterThan(0);
    }
    expect(await config(`KV_${MEMBERS_BUCKET}`)).toMatchObject({ storage: 'memory' });
  });
});

describe('drift', () => {
  it('is told by stream and field, with what was wanted and found, and mended', async () => {
    const topology = topologyOf();
    await ensureTopology(door, topology);
    await change(names.auditStream, { max_age: 5e9 });
    await change(names.eventsStream, { max_bytes: 32 * 1024 ** 2 });
    expect(await diffTopology(door, topology)).toEqual([
      {
        stream: names.eventsStream,
        field: 'max_bytes',
        wanted: 16 * 1024 ** 2,
        found: 32 * 1024 ** 2,
      },
      expect.objectContaining({ stream: names.auditStream, field: 'max_age', found: 5e9 }),
    ]);
    expect(await ensureTopology(door, topology)).toEqual([
      `updated ${names.eventsStream}: max_bytes`,
      `updated ${names.auditStream}: max_age`,
    ]);
    expect(await diffTopology(door, topology)).toEqual([]);
  });

  it('of a stream that is gone is told and mended', async () => {
    await ensureTopology(door, topologyOf());
    await callApi(door, `STREAM.DELETE.${names.deadStream}`);
    expect(await diffTopology(door, topologyOf())).toMatchObject([
      { stream: names.deadStream, found: 'absent' },
    ]);
    expect(await ensureTopology(door, topologyOf())).toEqual([`created ${names.deadStream}`]);
  });

  it.each(['allow_atomic', 'allow_msg_schedules', 'allow_msg_ttl'])(
    'that a server makes by dropping %s is refused with the field',
    async (option) => {
      await ensureTopology(door, topologyOf());
      await expect(ensureTopology(droppingDoor(option), topologyOf())).rejects.toMatchObject({
        code: 'TOPOLOGY_MISMATCH',
        message: expect.stringContaining(option),
      });
    },
  );
});

describe('shards', () => {
  it('are unknown before the segment exists, then as it was made', async () => {
    expect(await readShards(door, names)).toBeUndefined();
    await ensureTopology(door, topologyOf({ shards: 16 }));
    expect(await readShards(door, names)).toBe(16);
  });

  it('cannot be changed', async () => {
    await ensureTopology(door, topologyOf({ shards: 16 }));
    await expect(ensureTopology(door, topologyOf({ shards: 32 }))).rejects.toMatchObject({
      code: 'TOPOLOGY_MISMATCH',
    });
    expect(await readShards(door, names)).toBe(16);
  });
});
