// The cost of one merge of two large profiles, in this process and without a store: deciding and encoding.
import { createProfileActor } from '../../actors/profile/actor.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { spreadOf } from './statistics.ts';

const SHARDS = 64;
const REPEATS = 200;
const WARM_UP = 50;

/** Median ms of an event that joins two profiles with so many keys and every attribute of the config that views feed. */
export function mergeCost(config: SegmentConfig, keys: number): number {
  const actor = createProfileActor(config, { shards: SHARDS, configVersion: 1 });
  const records = new Map<string, unknown>();
  let sequence = 0;
  const decide = (event: object, isKept: boolean): number => {
    sequence += 1;
    const payload = Buffer.from(JSON.stringify({ v: 1, type: 'event', event }));
    const message = {
      shard: 0,
      source: 'ingest',
      sequence,
      nowMs: 1e12 + sequence,
      payload,
      logId: 'bench',
    } as const;
    const startMs = performance.now();
    const decision = actor.decide(message, actor.parse(message), { get: (key) => records.get(key) ?? null });
    if (decision.kind !== 'apply') throw new Error(`the actor does not decide: ${decision.kind}`);
    for (const [key, state] of decision.writes) if (state !== null) actor.encode(key, state);
    const tookMs = performance.now() - startMs;
    if (isKept) for (const [key, state] of decision.writes) records.set(key, state);
    return tookMs;
  };
  for (const side of ['a', 'b']) {
    for (let i = 1; i < keys; i++)
      decide(viewOf(`${side}${i}`, { cookie: `${side}-0`, session: `${side}-${i}` }), true);
  }
  const times = Array.from({ length: WARM_UP + REPEATS }, (_, i) =>
    decide(viewOf(`join${i}`, { cookie: 'a-0', session: 'b-1' }), false),
  );
  return spreadOf(times.slice(WARM_UP)).median;
}

function viewOf(messageId: string, keys: Readonly<Record<string, string>>): object {
  return { messageId, name: 'product_view', keys, properties: { category: 'garden' } };
}
