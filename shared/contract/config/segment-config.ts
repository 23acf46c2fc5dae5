// A parent segment's config as the engine uses it: defaults filled in, durations in ms, keys strongest first.
import type { DestinationConfig } from './destination-config.ts';
import type { ServiceConfig, Withheld } from './personalization-config.ts';
import type { ProtocolsConfig } from './protocol-config.ts';

export const KEY_KINDS = ['person', 'contact', 'device'] as const;
export type KeyKind = (typeof KEY_KINDS)[number];
export const NORMALIZERS = ['trim', 'lowercase', 'digits', 'unquote', 'e164', 'sha256'] as const;
export type Normalizer = (typeof NORMALIZERS)[number];
/** Whose a device or contact is that several persons use. */
export const KEY_OWNERS = ['first', 'last_authenticated', 'none_when_shared'] as const;
export type KeyOwner = (typeof KEY_OWNERS)[number];
export const ON_LIMIT = ['demote_incoming', 'replace_oldest'] as const;
export type OnLimit = (typeof ON_LIMIT)[number];
export const ON_MAX_KEYS = ['refuse', 'evict_oldest'] as const;
export type OnMaxKeys = (typeof ON_MAX_KEYS)[number];

export interface KeyConfig {
  readonly name: string;
  readonly kind: KeyKind;
  /** Most distinct values a profile; null: no limit. */
  readonly limit: number | null;
  /** Only values seen within this time count towards the limit; null: all do. */
  readonly limitWindowMs: number | null;
  /** In this order. */
  readonly normalize: readonly Normalizer[];
  /** Region of phone numbers that are written without a country (ISO 3166-1 alpha-2), for `e164`; null: none. */
  readonly region: string | null;
  /** Pattern (linear-time) that the whole normalized value must match. */
  readonly valid: string | null;
  /** Of the normalized value, in characters (before it is hashed). */
  readonly minLength: number;
  readonly minDistinctChars: number;
  /** Values of this key that identify nobody, besides those of all keys; `/…/` is a pattern (linear-time). */
  readonly invalid: readonly string[];
  /** Values that do identify although a list of junk says otherwise. */
  readonly allow: readonly string[];
  /** Stored on the profile, never joins and finds nothing. */
  readonly observeOnly: boolean;
  /** By key name: with how many values of that key one value of this one may be seen. */
  readonly links: Readonly<Record<string, number>>;
  /** What happens to the value when it is seen with another person than the one who holds it; null: by `onLimit`. */
  readonly owner: KeyOwner | null;
}

export interface StitchingConfig {
  /** Strongest first. */
  readonly keys: readonly KeyConfig[];
  /** Values that identify nobody, besides the built-in ones; `/…/` is a pattern (linear-time). */
  readonly invalid: readonly string[];
  /** What gives way when a profile would hold more values of a key than its limit. */
  readonly onLimit: OnLimit;
  readonly maxKeysPerProfile: number;
  readonly onMaxKeys: OnMaxKeys;
  /** Names of events that end a visit: the device keys on them are free from then on. */
  readonly logout: readonly string[];
  /** A value seen on more profiles than this is flagged in the audit log. */
  readonly flagAfterProfiles: number;
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

/** What of two profiles' values stays when they become one. */
export const SINGLE_MERGES = ['newest', 'oldest', 'survivor', 'min', 'max', 'restrictive'] as const;
export type SingleMerge = (typeof SINGLE_MERGES)[number];
export const COUNTER_MERGES = ['sum', 'max', 'survivor'] as const;
export type CounterMerge = (typeof COUNTER_MERGES)[number];
/** Of everything else both sides are joined, or the survivor's stays. */
export const JOIN_MERGES = ['union', 'survivor'] as const;
export type JoinMerge = (typeof JOIN_MERGES)[number];

/** What all attributes have. */
interface Attribute {
  readonly name: string;
  /** Never leaves by a public token. */
  readonly sensitive: boolean;
}

/** What attributes have that take in a key event. */
interface EventAttribute extends Attribute {
  /** Key event. */
  readonly on: string;
  /** CEL over the event: only events that meet it count; null: all do. */
  readonly when: string | null;
}

export interface SingleConfig extends EventAttribute {
  readonly type: 'single';
  readonly value: string;
  readonly ttlMs: number | null;
  readonly keep: 'newest' | 'first';
  readonly merge: SingleMerge;
  readonly backfill: BackfillConfig | null;
}

export interface CounterWindow {
  /** As written: the name of the window in the profile. */
  readonly name: string;
  readonly ms: number;
}

export interface CounterConfig extends EventAttribute {
  readonly type: 'counter';
  /** CEL giving the increment; null: 1. */
  readonly by: string | null;
  readonly total: boolean;
  readonly windows: readonly CounterWindow[];
  readonly merge: CounterMerge;
  readonly backfill: BackfillConfig | null;
}

/** A batch value to start from. */
export interface BackfillConfig {
  readonly table: string;
  readonly column: string;
  /** Column that says how far the batch reached. */
  readonly upTo: string;
  /** `upTo` is a time, or a position in the event log. */
  readonly by: 'time' | 'position';
}

/** A counter with `distinct`. */
export interface DistinctConfig extends EventAttribute {
  readonly type: 'distinct';
  /** CEL giving the value of which different ones are counted. */
  readonly distinct: string;
  readonly total: boolean;
  readonly windows: readonly CounterWindow[];
  /** So many are counted exactly. */
  readonly bound: number;
  readonly merge: JoinMerge;
}

export interface ListAction {
  readonly on: string;
  readonly when: string | null;
}

export const AGGREGATE_KINDS = ['count', 'sum', 'min', 'max', 'avg', 'first', 'last', 'distinct'] as const;
export interface AggregateConfig {
  readonly name: string;
  readonly kind: (typeof AGGREGATE_KINDS)[number];
  /** CEL over `item`; null: of all items (count). */
  readonly of: string | null;
}

export interface ListConfig extends EventAttribute {
  readonly type: 'list';
  readonly id: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly max: number;
  readonly ttlMs: number | null;
  readonly remove: readonly (ListAction & { readonly id: string })[];
  readonly clear: readonly ListAction[];
  readonly aggregate: readonly AggregateConfig[];
  readonly merge: JoinMerge;
}

export interface ExtremeConfig extends EventAttribute {
  readonly type: 'min' | 'max';
  readonly value: string;
  readonly merge: JoinMerge;
}

export interface AverageConfig extends EventAttribute {
  readonly type: 'avg';
  readonly value: string;
  readonly merge: JoinMerge;
}

export interface MostFrequentConfig extends EventAttribute {
  readonly type: 'most_frequent';
  readonly value: string;
  /** Different values that are counted. */
  readonly max: number;
  readonly merge: JoinMerge;
}

export interface SessionConfig extends Attribute {
  readonly type: 'session';
  /** Key event; null: every event. */
  readonly on: string | null;
  readonly gapMs: number;
  /** CEL giving what the first event of a visit says, such as its page. */
  readonly entry: string | null;
  /** Events of the visit, of one key event or all (null). */
  readonly counts: readonly { readonly name: string; readonly event: string | null }[];
  readonly merge: JoinMerge;
}

/** Made of other attributes when somebody looks. */
export interface ComputedConfig extends Attribute {
  readonly type: 'computed';
  readonly value: string;
}

export type AttributeConfig =
  | SingleConfig
  | CounterConfig
  | DistinctConfig
  | ListConfig
  | ExtremeConfig
  | AverageConfig
  | MostFrequentConfig
  | SessionConfig
  | ComputedConfig;

export const COLUMN_TYPES = ['string', 'number', 'boolean', 'timestamp', 'list'] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

/** Of a profile with several values of the key: the newest or oldest key's value, or one made of all. */
export const COMBINE_RULES = ['newest', 'oldest', 'min', 'max', 'sum', 'any', 'all', 'union'] as const;
export type CombineRule = (typeof COMBINE_RULES)[number];

/** A table of snapshots that profiles are joined with. */
export interface BatchTableConfig {
  readonly name: string;
  /** Stitching key by which its rows are found. */
  readonly key: string;
  readonly columns: Readonly<Record<string, ColumnType>>;
  /** How columns of the rows of several keys become one value; those that are not named: the newest key's. */
  readonly combine: Readonly<Record<string, CombineRule>>;
  /** A changed row is a message for the profile that it belongs to; else it is joined at the profile's next event. */
  readonly atOnce: boolean;
}

/** Rows about other things than customers, looked up by their key when somebody asks. */
export interface CatalogConfig {
  readonly name: string;
  /** Column that its rows are found by. */
  readonly key: string;
  readonly columns: Readonly<Record<string, ColumnType>>;
}

export interface AudienceConfig {
  readonly name: string;
  /** CEL over the profile. */
  readonly when: string;
}

/** No more than `count` to one profile in any stretch of `ms`. */
export interface FrequencyCap {
  readonly count: number;
  readonly ms: number;
}

/** A time of day in which nothing is sent; `to` may be on the next day. */
export interface QuietHours {
  /** `HH:MM`. */
  readonly from: string;
  readonly to: string;
  /** Name of a time zone, or text with `{{ CEL }}` that gives one. */
  readonly zone: string;
}

/** When something may be sent. */
export interface SendRules {
  readonly caps: readonly FrequencyCap[];
  readonly quiet: QuietHours | null;
  /** CEL over the profile: what must hold; null: nothing. */
  readonly consent: string | null;
}

/** A way to reach customers: its rules hold for all activations of it together. */
export interface ChannelConfig extends SendRules {
  readonly name: string;
}

export interface ActivationConfig extends SendRules {
  readonly name: string;
  readonly channel: string | null;
  /** Destinations that it is delivered to; none: it is there for subscribers. */
  readonly to: readonly string[];
  /** Values are constants, or text with `{{ CEL }}` in it. */
  readonly payload: Readonly<Record<string, unknown>>;
}

/**
 * What sets a trigger off: a key event, an audience that the profile has come into or left, a condition (CEL over the
 * profile) that becomes true, or a moment relative to one that an expression gives.
 */
export type TriggerCause =
  | { readonly event: string }
  | { readonly entered: string }
  | { readonly left: string }
  /** `falls`: only of a value that was known and did not meet it. */
  | { readonly becomes: string; readonly falls: boolean }
  | {
      readonly at: string;
      readonly offsetMs: number;
      /** The first `HH:MM` from then on; null: at once. */
      readonly time: string | null;
      readonly zone: string;
    };

export interface TriggerConfig {
  readonly name: string;
  readonly on: TriggerCause;
  readonly when: string | null;
  /** For each profile, or once in `everyMs`. */
  readonly once: boolean;
  readonly everyMs: number | null;
  /** Of what one commit sends the highest first. */
  readonly priority: number;
  readonly activate: string;
}

/** A key event, perhaps only some of them. */
export interface EventMatch {
  readonly on: string;
  /** CEL over event and profile. */
  readonly when: string | null;
}

export type JourneyEntry = EventMatch | { readonly entered: string };

export type JourneyExit = EventMatch | { readonly when: string } | { readonly staleMs: number };

export const REENTRIES = ['never', 'unless_goal', 'always'] as const;
export type Reentry = (typeof REENTRIES)[number];

/**
 * One thing that a journey does, with where it goes on: `next`, or for a choice the targets of its branches. Steps of a file
 * are nested, these are not.
 */
export type JourneyStep = { readonly id: string; readonly next: number } & (
  | { readonly kind: 'wait'; readonly ms: number }
  /** Until a time of day `HH:MM` in a time zone: its name, or text with `{{ CEL }}` that gives one. */
  | { readonly kind: 'wait_time'; readonly time: string; readonly zone: string }
  /** Until a moment that a CEL expression over the profile gives; none: goes on at once. */
  | { readonly kind: 'wait_date'; readonly date: string; readonly atMostMs: number | null }
  /** Until an event or a condition; null: for ever. */
  | {
      readonly kind: 'wait_for';
      readonly until: EventMatch | { readonly when: string };
      readonly atMostMs: number | null;
    }
  | {
      readonly kind: 'decide';
      /** The first that holds; null: else. */
      readonly branches: readonly { readonly when: string | null; readonly target: number }[];
    }
  | {
      readonly kind: 'split';
      readonly branches: readonly {
        readonly name: string;
        readonly percent: number;
        readonly target: number;
      }[];
    }
  | { readonly kind: 'activate'; readonly activation: string }
  | { readonly kind: 'set'; readonly attribute: string; readonly value: string }
  /** Whoever comes here has reached it. */
  | { readonly kind: 'stage'; readonly name: string }
  | { readonly kind: 'jump' }
);

export interface JourneyConfig {
  readonly name: string;
  readonly enter: JourneyEntry;
  readonly reentry: Reentry;
  readonly goal: EventMatch | null;
  readonly exit: readonly JourneyExit[];
  /** Nobody comes in. */
  readonly draft: boolean;
  /** Nobody comes in, and nobody goes on. */
  readonly paused: boolean;
  /** Of what one commit sends the highest first. */
  readonly priority: number;
  /** Begins at 0; `next` beyond the last: the end. */
  readonly steps: readonly JourneyStep[];
}

export interface SegmentConfig {
  readonly segment: string;
  readonly stitching: StitchingConfig;
  readonly events: readonly KeyEventConfig[];
  readonly attributes: readonly AttributeConfig[];
  readonly batchTables: readonly BatchTableConfig[];
  readonly catalogs: readonly CatalogConfig[];
  readonly audiences: readonly AudienceConfig[];
  readonly channels: readonly ChannelConfig[];
  readonly activations: readonly ActivationConfig[];
  readonly triggers: readonly TriggerConfig[];
  readonly journeys: readonly JourneyConfig[];
  readonly destinations: readonly DestinationConfig[];
  readonly personalization: readonly ServiceConfig[];
  readonly withheld: Withheld;
  readonly protocols: ProtocolsConfig;
}
