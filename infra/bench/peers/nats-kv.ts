// Plain key-value NATS: read the document, change it, write it if nobody else has, event by event.

import { hash32 } from '../../../shared/kernel/hash.ts';
import type { NatsDoor } from '../../../shared/nats/connect.ts';
import { callApi } from '../../../shared/nats/jetstream-api.ts';
import { openRig } from '../rig.ts';
import type { BenchContext, Case } from '../scenario.ts';
import { latencyFigures, type Peer, timed } from './peer.ts';
import { assertCounts, countViews, firstDocuments, LATENCY_RATE, type PageView, type Task } from './task.ts';

const LANES = 128;
const STREAM = 'bench_documents';
const SUBJECTS = 'bench.documents.';
/** Ids that a document remembers: by count, so a hot one forgets soon. */
const IDS_KEPT = 128;
/** It is slow: of the events as many as take some seconds. */
const EVENTS_MAX = 20_000;
const FILL_IN_FLIGHT = 200;
const TIMEOUT_MS = 20_000;

interface Document {
  views: number;
  ids: string[];
  fields: Record<string, string>;
}

export const natsKv: Peer = {
  name: 'NATS key-value',
  about: `read and conditional write per event, ${LANES} lanes; remembers ${IDS_KEPT} ids a document, keeps no event log; no stitching, no triggers`,
  missing: () => undefined,
  async run(task, context) {
    const rig = await openRig(context);
    try {
      return await runOn(rig.door, rig.server.pid, task, context);
    } finally {
      await rig.close();
    }
  },
};

async function runOn(
  door: NatsDoor,
  pid: number,
  task: Task,
  context: BenchContext,
): Promise<readonly Case[]> {
  const config = {
    name: STREAM,
    subjects: [`${SUBJECTS}>`],
    max_msgs_per_subject: 1,
    allow_direct: true,
    storage: 'file',
  };
  const made = await callApi(door, `STREAM.CREATE.${STREAM}`, config);
  if (made.kind !== 'ok') throw new Error(`no stream: ${JSON.stringify(made)}`);
  await fill(door, task.profiles);
  const views = task.views.slice(0, EVENTS_MAX);
  const rest = task.views.slice(EVENTS_MAX, EVENTS_MAX + Math.round(LATENCY_RATE * context.sizes.seconds));
  const figures = await timed(views.length, pid, () => applyInLanes(door, views));
  const latencies = await latencyFigures(rest, (view) => applyOne(door, view));
  const found = await readCounts(door, task.profiles);
  assertCounts('NATS key-value', countViews([...views, ...rest]), found);
  return [{ name: `NATS key-value ${task.workload.spread}`, figures: { ...figures, ...latencies } }];
}

async function fill(door: NatsDoor, profiles: number): Promise<void> {
  const left = firstDocuments(profiles);
  const lane = async () => {
    for (const { visitor, fields } of left) {
      const document: Document = { views: 0, ids: [], fields };
      const reply = await door.request(SUBJECTS + visitor, JSON.stringify(document), {
        timeoutMs: TIMEOUT_MS,
      });
      if (reply.kind !== 'reply') throw new Error(`not stored: ${reply.kind}`);
    }
  };
  await Promise.all(Array.from({ length: FILL_IN_FLIGHT }, lane));
}

async function applyInLanes(door: NatsDoor, views: readonly PageView[]): Promise<void> {
  const lanes: PageView[][] = Array.from({ length: LANES }, () => []);
  for (const view of views) lanes[hash32(view.visitor) % LANES]!.push(view);
  await Promise.all(
    lanes.map(async (lane) => {
      for (const view of lane) await applyOne(door, view);
    }),
  );
}

async function applyOne(door: NatsDoor, { id, visitor, fields }: PageView): Promise<void> {
  for (;;) {
    const { document, sequence } = await readDocument(door, visitor);
    if (document.ids.includes(id)) return;
    document.views += 1;
    document.ids = [...document.ids, id].slice(-IDS_KEPT);
    Object.assign(document.fields, fields);
    const reply = await door.request(SUBJECTS + visitor, JSON.stringify(document), {
      headers: [['Nats-Expected-Last-Subject-Sequence', String(sequence)]],
      timeoutMs: TIMEOUT_MS,
    });
    if (reply.kind !== 'reply') throw new Error(`no answer: ${reply.kind}`);
    // Another lane was first: read again.
    if (!reply.msg.json<{ error?: unknown }>().error) return;
  }
}

async function readDocument(door: NatsDoor, visitor: string) {
  const reply = await door.request(`$JS.API.DIRECT.GET.${STREAM}.${SUBJECTS}${visitor}`, '', {
    timeoutMs: TIMEOUT_MS,
  });
  if (reply.kind !== 'reply') throw new Error(`no answer: ${reply.kind}`);
  return {
    document: reply.msg.json<Document>(),
    sequence: Number(reply.msg.headers?.get('Nats-Sequence')),
  };
}

async function readCounts(door: NatsDoor, profiles: number): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  const left = firstDocuments(profiles);
  const lane = async () => {
    for (const { visitor } of left) found.set(visitor, (await readDocument(door, visitor)).document.views);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return found;
}
