// What every kind of attribute can do: take in an event, merge with another profile's, be looked at, and tell when it
// changes by time alone. All of it pure.

import type { AttributeConfig } from '../../shared/contract/config/segment-config.ts';
import type { ExpressionContext } from '../../shared/contract/expression.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import type { AppliedEvent } from '../profile/apply-event.ts';
import type { Seed } from './backfill.ts';
import type { AttributeState } from './states.ts';

export interface StepInput {
  readonly event: AppliedEvent;
  /** Key events that the event is. */
  readonly hits: readonly string[];
  readonly context: ExpressionContext;
  /** What could not be evaluated is noted here. */
  readonly facts: AuditFact[];
}

/** What a key event does to an attribute. */
export interface Step {
  readonly attribute: string;
  /** Key event; null: every event. */
  readonly on: string | null;
  /** The state after the event; the same reference, or undefined, when it does not change. */
  readonly run: (before: AttributeState | undefined, input: StepInput) => AttributeState | undefined;
}

export interface Kind<C extends AttributeConfig, S extends AttributeState> {
  readonly state: S['kind'];
  /** Compiled once per config. */
  readonly steps: (config: C) => readonly Step[];
  /** Of two profiles' states one; `a` is the survivor's. Whatever the order, the same comes of it. */
  readonly combine: (a: S, b: S, config: C) => S;
  /** As the profile shows it at `nowMs`; undefined: it is absent. `seed`: the batch value that it starts from. */
  readonly view: (state: S | undefined, config: C, nowMs: number, seed?: Seed) => unknown;
  /** Values that stand by their own names in the profile. */
  readonly aggregates?: (state: S | undefined, config: C, nowMs: number) => Readonly<Record<string, unknown>>;
  /** When what is shown next changes without an event, ms after `nowMs`; undefined: never. */
  readonly nextChange: (state: S, config: C, nowMs: number) => number | undefined;
}

/** The earlier of two moments of which each may never come. */
export function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : Math.min(a, b);
}
