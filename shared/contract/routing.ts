// Which shard an event goes to. Routing gives order per device and nothing else: correctness comes from revisions.
import { hash32 } from '../kernel/hash.ts';

/**
 * Shard of a routing key: hash32(`<keyName>:<normalized value>`) mod shards, or hash32(`:<messageId>`) mod shards for
 * an event without a usable key. Fixed for ever: see the test vectors in test/unit/shared/routing.test.ts.
 */
export function shardOf(routingKey: string, shards: number): number {
  return hash32(routingKey) % shards;
}

export function routingKeyOf(keyName: string, value: string): string {
  return `${keyName}:${value}`;
}

/** All links of a segment go one after another: what one refuses depends on those before it. */
export const ROUTING_KEY_OF_LINKS = 'links';

export function routingKeyOfMessage(messageId: string): string {
  return `:${messageId}`;
}
