// What the toy actor stores and is told: its records, its messages and their keys.

/** One thing that was applied to a record: by which message, of which shard, under which name. */
export interface Entry {
  readonly sequence: number;
  readonly shard: number;
  readonly name: string;
  readonly what: 'touch' | 'timer' | 'absent' | 'duty';
}

export type TallyState =
  | {
      readonly kind: 'tally';
      readonly entries: readonly Entry[];
      /** Links that say they point here. */
      readonly links: readonly string[];
      readonly alarm: { readonly generation: number; readonly atMs: number } | null;
      /** Bytes of ballast in the stored form. */
      readonly ballast: number;
    }
  | { readonly kind: 'redirect'; readonly to: string };

export interface LinkState {
  readonly kind: 'link';
  readonly to: string;
  readonly history: readonly number[];
}

export interface DutyState {
  readonly kind: 'duty';
  readonly on: boolean;
  readonly entries: readonly Entry[];
}

export type ToyState = TallyState | LinkState | DutyState;

export interface TallyMessage {
  readonly id: string;
  readonly touch?: readonly string[];
  /** Touches only if there is no record of this name. */
  readonly ifAbsent?: string;
  readonly merge?: readonly [string, string];
  readonly link?: { readonly name: string; readonly to: string };
  /** Removes the record of this name; what it held goes into the outbox. */
  readonly drop?: string;
  /** One of two must stay on duty: going off looks at the other, and only guards it. */
  readonly duty?: { readonly pair: string; readonly side: 'a' | 'b'; readonly on: boolean };
  readonly arm?: { readonly name: string; readonly inMs: number };
  readonly disarm?: string;
  /** A timer that fired. */
  readonly fired?: { readonly name: string; readonly generation: number };
  readonly poison?: 'parse' | 'decide';
  readonly huge?: 'record' | 'outbox' | 'batch';
  /** Cannot be decided by an actor of an older config. */
  readonly configVersion?: number;
}

export const tallyKey = (name: string) => `p.${name}`;
export const linkKey = (name: string) => `k.link.${name}`;
export const dutyKey = (pair: string, side: 'a' | 'b') => `p.duty-${pair}-${side}`;

export function encodeToy(state: ToyState): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(state));
  const ballast = state.kind === 'tally' ? state.ballast : 0;
  return ballast > 0 ? Buffer.concat([bytes, Buffer.alloc(ballast, ' ')]) : bytes;
}

export function decodeToy(bytes: Uint8Array): ToyState {
  return JSON.parse(Buffer.from(bytes).toString()) as ToyState;
}

export function toBytes(message: TallyMessage): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}
