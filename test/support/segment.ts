// A fresh segment on a running server, with the real adapters.
import { type SegmentNames, segmentNames } from '../../shared/contract/names.ts';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { describeTopology, ensureTopology, type TopologyOptions } from '../../shared/nats/topology.ts';

export interface TestSegment {
  readonly door: NatsDoor;
  readonly names: SegmentNames;
  close(): Promise<void>;
}

let made = 0;

/** Connects and makes a segment of its own name, so that tests on one server do not meet. */
export async function makeSegment(url: string, options: Partial<TopologyOptions> = {}): Promise<TestSegment> {
  const door = await connectNats({ url, name: 'test' });
  const names = segmentNames(`t${process.pid}-${made++}`);
  await ensureTopology(
    door,
    describeTopology(names, { shards: 8, eventsBytesMax: 256 * 1024 * 1024, ...options }),
  );
  return { door, names, close: () => door.close() };
}

/** Resolves when `condition` holds, polling; rejects after the deadline with what was waited for. */
export async function eventually(
  what: string,
  condition: () => Promise<boolean> | boolean,
  deadlineMs = 15_000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    if (await condition()) return;
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
