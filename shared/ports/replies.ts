// Answers to gateways that wait for a commit: fast, and lost when nobody listens.
import type { Reply } from '../contract/actor.ts';

export interface Replies {
  /** Sends without waiting. While the server is out of reach it is dropped: whoever waits has a deadline. */
  send(reply: Reply): void;
}

/** A place to which the replies of one request are sent, each under a number of its own. */
export interface ReplyBox {
  /** The subject for the reply with this number. */
  subjectOf(number: number): string;
  /** Resolves with the first reply of each number, as soon as there are `count`, or with what came by the deadline. */
  collect(count: number, timeoutMs: number): Promise<ReadonlyMap<number, Uint8Array>>;
  /** Gives the subjects up. */
  close(): void;
}

export interface ReplyBoxes {
  open(): ReplyBox;
}
