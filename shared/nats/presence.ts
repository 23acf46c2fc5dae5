// Presence by a subscription of its own: a process that is gone has no responder, which is known after one round trip.
import type { SegmentNames } from '../contract/names.ts';
import type { Presence } from '../ports/presence.ts';
import type { NatsDoor } from './connect.ts';

export function createPresence(door: NatsDoor, names: SegmentNames): Presence {
  return {
    answer(id) {
      const answering = door.nc.subscribe(names.presenceSubject(id), {
        callback: (error, msg) => {
          if (!error) msg.respond();
        },
      });
      return () => answering.unsubscribe();
    },
    async ask(id, timeoutMs) {
      const reply = await door.request(names.presenceSubject(id), '', { timeoutMs });
      if (reply.kind === 'reply') return 'there';
      return reply.kind === 'no_responders' ? 'gone' : 'silent';
    },
  };
}
