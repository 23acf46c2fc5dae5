// Replies on core subjects: one inbox a gateway, a token a request, a number a reply.
import { createInbox, type Msg } from 'nats';
import type { Replies, ReplyBox, ReplyBoxes } from '../ports/replies.ts';
import type { NatsDoor } from './connect.ts';

export function createReplies(door: NatsDoor): Replies {
  return { send: ({ to, body }) => void door.publish(to, body) };
}

/** Subscribes at the first box, for as long as the connection is open. */
export function createReplyBoxes(door: NatsDoor): ReplyBoxes {
  const inbox = createInbox();
  const boxes = new Map<string, Box>();
  let listening = false;
  let opened = 0;
  const deliver = (error: Error | null, msg: Msg) => {
    if (error) return;
    const [token, number] = msg.subject.slice(inbox.length + 1).split('.');
    boxes.get(token!)?.receive(Number(number), new Uint8Array(msg.data));
  };
  return {
    open() {
      if (!listening) door.nc.subscribe(`${inbox}.>`, { callback: deliver });
      listening = true;
      const token = (opened++).toString(36);
      const box = new Box(`${inbox}.${token}`, () => boxes.delete(token));
      boxes.set(token, box);
      return box;
    },
  };
}

class Box implements ReplyBox {
  readonly close: () => void;
  readonly #subject: string;
  readonly #replies = new Map<number, Uint8Array>();
  #wanted = Number.POSITIVE_INFINITY;
  #enough: () => void = () => {};

  constructor(subject: string, close: () => void) {
    this.#subject = subject;
    this.close = close;
  }

  subjectOf(number: number): string {
    return `${this.#subject}.${number}`;
  }

  receive(number: number, body: Uint8Array): void {
    if (!this.#replies.has(number)) this.#replies.set(number, body);
    if (this.#replies.size >= this.#wanted) this.#enough();
  }

  async collect(count: number, timeoutMs: number): Promise<ReadonlyMap<number, Uint8Array>> {
    if (this.#replies.size >= count) return this.#replies;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wanted = count;
      this.#enough = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    return this.#replies;
  }
}
