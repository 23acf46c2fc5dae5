// GET /v1/audiences: sizes summed over shards, a sample, and the same in metrics.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeRecord } from '../../../actors/profile/record-codec.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { configOf } from '../profile/harness.ts';
import { errorCode, makeSegment, startGateway, type TestGateway, WRITE_KEY } from './support/harness.ts';

const CONFIG = configOf(`events: [{ name: bought, when: 'event.name == "Bought"' }]
attributes: [{ name: spend, type: counter, on: bought, total: true }]
audiences:
  - { name: rich, when: 'profile.spend > 100.0' }
  - { name: nobody, when: 'profile.spend > 1e9' }
`);

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway({ readDeadlineMs: 200 }, [makeSegment('shop', CONFIG)]);
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

function count(shard: number, audiences: Record<string, readonly [number, ...string[]]>): void {
  const key = recordKeys.members(shard);
  gateway.segment.store.leader.set(key, encodeRecord(key, { kind: 'members', audiences }));
}

describe('GET /v1/audiences', () => {
  it('sums what the shards have counted', async () => {
    count(0, { rich: [3, 'a', 'b', 'c'], gone: [7, 'z'] });
    count(1, { rich: [-1] });
    const answer = await gateway.get('/v1/audiences');
    expect(answer.statusCode).toBe(200);
    expect(answer.json().audiences).toEqual([
      { name: 'rich', size: 2, sample: ['c', 'b', 'a'] },
      { name: 'nobody', size: 0, sample: [] },
    ]);
  });

  it('is for admins', async () => {
    const answer = await gateway.get('/v1/audiences', WRITE_KEY);
    expect([answer.statusCode, errorCode(answer)]).toEqual([403, 'FORBIDDEN']);
  });

  it('sizes are metrics; without the store the others are still there', async () => {
    count(0, { rich: [3, 'a'] });
    const metrics = (await gateway.get('/metrics')).body;
    expect(metrics).toMatch(/stitchwork_audience_members\{segment="[a-z]+",audience="rich"\} 3/);
    expect(metrics).toContain('stitchwork_gateway_requests_total');
  });
});
