// How much a config may ask for. Each is above what the field's hosted products allow; a config beyond one is refused by
// name, and what events bring is bounded by the others.

/** Of one segment's config, unless its section `limits` says otherwise. */
export const CONFIG_LIMITS = {
  stitching_keys: 200,
  key_events: 2_000,
  /** Characters of one expression. */
  expression_chars: 4_000,
  attributes: 1_000,
  /** Of one counter. */
  windows: 20,
  /** Of one list. */
  list_items: 1_000,
  list_fields: 50,
  /** Of one list or session. */
  aggregates: 50,
  /** Different values that a distinct counter may count exactly. */
  distinct_exact: 10_000,
  /** Different values of a most_frequent. */
  frequent_values: 500,
  audiences: 1_000,
  triggers: 2_000,
  activations: 1_000,
} as const;

export type LimitName = keyof typeof CONFIG_LIMITS;

/** What the section `limits` may set: beyond that a config is not read, or a profile would not fit its record. */
export const LIMITS_MAX: Readonly<Record<LimitName, number>> = {
  stitching_keys: 500,
  key_events: 20_000,
  expression_chars: 16_000,
  attributes: 10_000,
  windows: 100,
  list_items: 10_000,
  list_fields: 200,
  aggregates: 200,
  distinct_exact: 20_000,
  frequent_values: 2_000,
  audiences: 10_000,
  triggers: 20_000,
  activations: 10_000,
};

export const CONFIG_DEFAULTS = {
  list_items: 100,
  distinct_exact: 1_000,
  frequent_values: 100,
} as const;
