// Activations and audit entries read whole from their streams.
import type { SegmentNames } from '../contract/names.ts';
import type { KeptMessages } from '../ports/kept-messages.ts';
import type { NatsDoor } from './connect.ts';
import { readBatches } from './stream-batches.ts';

export function createKeptMessages(door: NatsDoor, names: SegmentNames): KeptMessages {
  const places = {
    activations: { stream: names.activationsStream, filter: names.activationsFilter },
    audit: { stream: names.auditStream, filter: names.auditFilter },
  } as const;
  return {
    async *read(kind, signal) {
      const { stream, filter } = places[kind];
      for await (const batch of readBatches(door, stream, { filter })) {
        signal.throwIfAborted();
        yield batch.filter(({ payload }) => payload.length > 0);
      }
    },
  };
}
