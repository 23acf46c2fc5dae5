// The bytes of request bodies held at one time, over all requests. Refusal instead of waiting: memory stays bounded
// and no request can hold up another.
import { StitchworkError } from '../../shared/kernel/errors.ts';

export interface ByteLease {
  /** Takes more bytes. Throws OVERLOADED when the budget has none left. */
  grow(bytes: number): void;
  /** Gives some back early. */
  shrink(bytes: number): void;
  /** Gives everything back; once is enough, twice does no harm. */
  release(): void;
}

export interface ByteBudget {
  readonly bytesInFlight: number;
  open(): ByteLease;
}

/** What a request costs before its first body byte, so that many empty ones are bounded as well. */
export const REQUEST_BASE_BYTES = 4_096;

export function createByteBudget(bytesMax: number): ByteBudget {
  let inFlight = 0;
  return {
    get bytesInFlight() {
      return inFlight;
    },
    open() {
      let held = 0;
      const lease: ByteLease = {
        grow(bytes) {
          if (inFlight + bytes > bytesMax) throw new StitchworkError('OVERLOADED');
          inFlight += bytes;
          held += bytes;
        },
        shrink(bytes) {
          const given = Math.min(bytes, held);
          inFlight -= given;
          held -= given;
        },
        release() {
          inFlight -= held;
          held = 0;
        },
      };
      lease.grow(REQUEST_BASE_BYTES);
      return lease;
    },
  };
}
