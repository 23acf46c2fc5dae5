// Activations that could not be delivered, handed to their destination again: through the outbox, as when they were decided,
// to that destination alone. Their letters go, so that nothing is sent again by the next redrive.
import type { DeadActivation } from '../../shared/contract/delivery.ts';
import { recordKeys, type SegmentNames } from '../../shared/contract/names.ts';
import type { Activation } from '../../shared/contract/outbox.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { callApi } from '../../shared/nats/jetstream-api.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { CommandFailure, EXIT } from './exit.ts';

export interface KeptActivation {
  readonly letter: DeadActivation;
  /** In the stream of dead letters. */
  readonly sequence: number;
}

/** Throws CommandFailure 4 that tells how many were handed over before the server was out of reach. */
export async function redriveActivations(
  door: NatsDoor,
  names: SegmentNames,
  kept: readonly KeptActivation[],
): Promise<void> {
  const store = createRecordStore(door, names);
  for (const [index, { letter, sequence }] of kept.entries()) {
    const again = redrivenOf(letter);
    const key = recordKeys.activation(again.name, `${again.id}_${letter.destination}_${again.redriven}`);
    const value = Buffer.from(JSON.stringify(again));
    const outcome = await store.commit([{ kind: 'append', key, value }]);
    if (outcome.kind !== 'committed') {
      const told = `${index} of ${kept.length} handed over, then: ${outcome.kind}`;
      throw new CommandFailure(EXIT.unreachable, told);
    }
    const gone = await callApi(door, `STREAM.MSG.DELETE.${names.deadStream}`, {
      seq: sequence,
      no_erase: true,
    });
    if (gone.kind === 'none')
      throw new CommandFailure(
        EXIT.unreachable,
        `${index + 1} of ${kept.length} handed over, and its letter stays`,
      );
  }
}

function redrivenOf({ activation, destination }: DeadActivation): Activation & { readonly redriven: number } {
  return { ...activation, to: [destination], redriven: (activation.redriven ?? 0) + 1 };
}
