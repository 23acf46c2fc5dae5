// How events of other systems' SDKs become events of this segment: which of their fields are which stitching key. Only
// the gateway reads this; a profile knows no protocols.

/** Kinds of calls that bring no name of their own. */
export const NAMELESS_CALLS = ['identify', 'page', 'screen', 'group'] as const;
export type NamelessCall = (typeof NAMELESS_CALLS)[number];

/** Segment's tracking API, and RudderStack's, which is the same. Stitching keys by where their values stand. */
export interface SegmentProtocolConfig {
  /** Null: it is no key. */
  readonly userId: string | null;
  readonly anonymousId: string | null;
  /** What the `previousId` of an alias is. */
  readonly previousId: string | null;
  /** Trait of the user -> key. */
  readonly traits: Readonly<Record<string, string>>;
  /** Names of the events that such calls become. */
  readonly names: Readonly<Record<NamelessCall, string>>;
}

/** Treasure Data's ingest APIs, which take flat records into tables of databases. */
export interface TreasureDataProtocolConfig {
  /** Databases whose records are this segment's; empty: any. */
  readonly databases: readonly string[];
  /** Column that names the event; a record without it is named after its table. */
  readonly name: string;
  /** Column -> key. */
  readonly keys: Readonly<Record<string, string>>;
}

export interface ProtocolsConfig {
  readonly segment: SegmentProtocolConfig;
  readonly treasureData: TreasureDataProtocolConfig;
}
