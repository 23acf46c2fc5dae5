// A parent segment's config as the engine uses it: defaults filled in, durations in ms, keys strongest first.
import type { ConfigProblem } from './problem.ts';

export const KEY_KINDS = ['person', 'contact', 'device'] as const;
export type KeyKind = (typeof KEY_KINDS)[number];
export const NORMALIZERS = ['trim', 'lowercase', 'digits', 'unquote'] as const;
export type Normalizer = (typeof NORMALIZERS)[number];

export interface KeyConfig {
  readonly name: string;
  readonly kind: KeyKind;
  /** Most distinct values a profile; null: no limit. */
  readonly limit: number | null;
  readonly normalize: readonly Normalizer[];
  /** Pattern (linear-time) that the whole normalized value must match. */
  readonly valid: string | null;
}

export interface StitchingConfig {
  /** Strongest first. */
  readonly keys: readonly KeyConfig[];
  /** Values that identify nobody, besides the built-in ones. */
  readonly invalid: readonly string[];
  readonly maxKeysPerProfile: number;
  /** Ms since the last event; null: for ever. */
  readonly retention: {
    readonly anonymousMs: number | null;
    readonly knownMs: number | null;
    readonly redirectsMs: number | null;
  };
}

export interface KeyEventConfig {
  readonly name: string;
  /** CEL over the event. */
  readonly when: string;
}

export interface SingleConfig {
  readonly type: 'single';
  readonly name: string;
  readonly on: string;
  readonly value: string;
  readonly ttlMs: number | null;
}

export interface CounterWindow {
  /** As written: the name of the window in the profile. */
  readonly name: string;
  readonly ms: number;
}

export interface CounterConfig {
  readonly type: 'counter';
  readonly name: string;
  readonly on: string;
  /** CEL giving the increment; null: 1. */
  readonly by: string | null;
  readonly total: boolean;
  readonly windows: readonly CounterWindow[];
}

export type AttributeConfig = SingleConfig | CounterConfig;

export interface ActivationConfig {
  readonly name: string;
  /** Values are constants, or text with `{{ CEL }}` in it. */
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface TriggerConfig {
  readonly name: string;
  readonly on: string;
  readonly when: string | null;
  readonly once: boolean;
  readonly activate: string;
}

export interface SegmentConfig {
  readonly segment: string;
  readonly stitching: StitchingConfig;
  readonly events: readonly KeyEventConfig[];
  readonly attributes: readonly AttributeConfig[];
  readonly activations: readonly ActivationConfig[];
  readonly triggers: readonly TriggerConfig[];
  /** What the file asks for and this version does not do yet: a role refuses to run with any. */
  readonly unsupported: readonly ConfigProblem[];
}
