// Messages that left commits and are still kept, oldest first, as a whole: for reports, never on the live path.

export const KEPT_KINDS = ['activations', 'audit'] as const;
export type KeptKind = (typeof KEPT_KINDS)[number];

export interface KeptMessage {
  /** Position in its stream. */
  readonly sequence: number;
  /** JSON. */
  readonly payload: Uint8Array;
}

export interface KeptMessages {
  /** What was kept when the reading began, some at a time. Throws LOG_UNAVAILABLE. */
  read(kind: KeptKind, signal: AbortSignal): AsyncIterable<readonly KeptMessage[]>;
}
