// The cost of deciding events in this process, without a store: parse, stitch, fold, encode.
import { createProfileActor } from '../../actors/profile/actor.ts';
import type { Actor } from '../../shared/contract/actor.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { spreadOf } from './statistics.ts';

export interface DecideCost {
  /** Median over rounds. */
  readonly microsPerEvent: number;
  /** Mean size of a profile's record at the end. */
  readonly recordBytes: number;
}

const SHARDS = 64;
const PROFILES = 200;
const ROUND_EVENTS = 2_000;
const ROUNDS = 7;
const EVENT_EVERY_MS = 40;
const START_MS = 1.8e12;

/** Events of `makeEvent` over some hundred profiles, each decided and encoded as a worker does. */
export function decideCost(config: SegmentConfig, makeEvent: (i: number) => object): DecideCost {
  const actor = createProfileActor(config, { shards: SHARDS, configVersion: 1 });
  const records = new Map<string, unknown>();
  let at = 0;
  const round = (): number => {
    const payloads = Array.from({ length: ROUND_EVENTS }, () => {
      const i = at++;
      const keys = { device: `d-${i % PROFILES}` };
      const timestampMs = START_MS + i * EVENT_EVERY_MS;
      const event = { messageId: `m-${i}`, keys, timestampMs, ...makeEvent(i) };
      return { i, payload: Buffer.from(JSON.stringify({ v: 1, type: 'event', event })) };
    });
    const startMs = performance.now();
    for (const { i, payload } of payloads) decideOne(actor, records, i, payload);
    return ((performance.now() - startMs) / ROUND_EVENTS) * 1000;
  };
  round();
  const micros = Array.from({ length: ROUNDS }, round);
  const sizes = [...records]
    .filter(([key]) => key.startsWith('p.'))
    .map(([key, state]) => actor.encode(key, state).length);
  const recordBytes = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  return { microsPerEvent: spreadOf(micros).median, recordBytes: Math.round(recordBytes) };
}

function decideOne(actor: Actor, records: Map<string, unknown>, sequence: number, payload: Buffer): void {
  const nowMs = START_MS + sequence * EVENT_EVERY_MS;
  const message = { shard: 0, source: 'ingest', sequence, nowMs, payload, logId: 'bench' } as const;
  const decision = actor.decide(message, actor.parse(message), { get: (key) => records.get(key) ?? null });
  if (decision.kind !== 'apply') throw new Error(`the actor does not decide: ${decision.kind}`);
  for (const [key, state] of decision.writes) {
    if (state === null) records.delete(key);
    else {
      actor.encode(key, state);
      records.set(key, state);
    }
  }
}
