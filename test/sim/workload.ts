// What clients send in a run, and when: messages that touch, merge, link, drop, guard and arm, spread over the shards so
// that the same records are wanted from several of them at once.
import type { TallyMessage } from './tally-model.ts';
import type { World } from './world.ts';

export interface Sent {
  readonly atMs: number;
  readonly shard: number;
  readonly message: TallyMessage;
}

export interface WorkloadShape {
  readonly messages: number;
  readonly shards: number;
  readonly spanMs: number;
  /** Names that most messages speak of: few make every commit collide. */
  readonly names: number;
  readonly configVersionMax: number;
  /** Most messages are about duties: decisions that rely on a record which they do not write. */
  readonly mostlyDuties: boolean;
}

export function drawWorkload(world: World, shape: WorkloadShape): readonly Sent[] {
  const sent: Sent[] = [];
  for (let i = 0; i < shape.messages; i++) {
    const atMs = world.between(0, shape.spanMs);
    const shard = world.between(0, shape.shards - 1);
    sent.push({ atMs, shard, message: drawMessage(world, shape, `m${i}`) });
  }
  return sent.sort((a, b) => a.atMs - b.atMs);
}

function drawMessage(world: World, shape: WorkloadShape, id: string): TallyMessage {
  const name = () => `n${world.between(0, shape.names - 1)}`;
  const roll = world.random.next();
  if (shape.mostlyDuties && roll < 0.8) return drawDuty(world, id);
  if (roll < 0.4) return { id, touch: several(world, name) };
  if (roll < 0.5) return { id, merge: [name(), name()], touch: [name()] };
  if (roll < 0.62) return { id, link: { name: `l${world.between(0, 3)}`, to: name() } };
  if (roll < 0.76) return drawDuty(world, id);
  if (roll < 0.84)
    return { id, ifAbsent: `d${world.between(0, 9)}`, touch: [name(), `d${world.between(0, 9)}`] };
  if (roll < 0.88) return { id, drop: `d${world.between(0, 9)}` };
  if (roll < 0.94) return { id, arm: { name: name(), inMs: world.between(0, 4000) } };
  if (roll < 0.96) return { id, disarm: name() };
  if (roll < 0.97) return { id, poison: world.pick(['parse', 'decide'] as const) };
  if (roll < 0.975) return { id, touch: ['damaged'] };
  if (roll < 0.98) return { id, huge: world.pick(['record', 'outbox', 'batch'] as const) };
  return { id, touch: [name()], configVersion: world.between(1, shape.configVersionMax) };
}

function drawDuty(world: World, id: string): TallyMessage {
  const pair = `${world.between(0, 1)}`;
  return { id, duty: { pair, side: world.pick(['a', 'b'] as const), on: world.chance(0.45) } };
}

function several(world: World, name: () => string): readonly string[] {
  return [...new Set(Array.from({ length: world.pick([1, 1, 2, 3]) }, name))];
}

/** Whether the message can only end as a dead letter. */
export function isDoomed(message: TallyMessage): boolean {
  return (
    message.poison !== undefined ||
    message.huge !== undefined ||
    (message.touch?.includes('damaged') ?? false)
  );
}
