// `protocols` of a config: its meaning checked, and its defaults, which take the keys that have the usual names.
import type { MeaningCheck } from './check-meaning.ts';
import { NAMELESS_CALLS, type NamelessCall, type ProtocolsConfig } from './protocol-config.ts';
import type { RawSegment } from './schema.ts';
import type { Path } from './source-map.ts';

/** Taken without being asked for, where the segment has a key of this name. */
const USUAL = { userId: 'customer_id', anonymousId: 'anonymous_id', traits: ['email', 'phone'] } as const;
/** What Treasure Data's SDK names a browser by. */
const TD_CLIENT_ID = 'td_client_id';
const TD_EVENT_NAME = 'event_name';

/** Every key that is named must be one of the segment's. */
export function checkProtocols(raw: RawSegment, keys: readonly string[], check: MeaningCheck): void {
  const { segment, treasure_data: treasureData } = raw.protocols ?? {};
  const refer = (name: string | null | undefined, path: Path) =>
    check.reference(name ?? undefined, keys, 'stitching key', ['protocols', ...path]);
  refer(segment?.user_id, ['segment', 'user_id']);
  refer(segment?.anonymous_id, ['segment', 'anonymous_id']);
  refer(segment?.previous_id, ['segment', 'previous_id']);
  const fields = [
    [segment?.traits, ['segment', 'traits']],
    [treasureData?.keys, ['treasure_data', 'keys']],
  ] as const;
  for (const [byField, path] of fields)
    for (const [field, name] of Object.entries(byField ?? {})) refer(name, [...path, field]);
}

/** The section with its defaults. */
export function readProtocols({ protocols = {}, stitching }: RawSegment): ProtocolsConfig {
  const keys = stitching.keys.map(({ name }) => name);
  const usual = (name: string) => (keys.includes(name) ? name : null);
  const { segment = {}, treasure_data: treasureData = {} } = protocols;
  const anonymousId = segment.anonymous_id === undefined ? usual(USUAL.anonymousId) : segment.anonymous_id;
  return {
    segment: {
      userId: segment.user_id === undefined ? usual(USUAL.userId) : segment.user_id,
      anonymousId,
      previousId: segment.previous_id === undefined ? anonymousId : segment.previous_id,
      traits: segment.traits ?? Object.fromEntries(present(USUAL.traits, keys).map((name) => [name, name])),
      names: { ...ownNames(), ...segment.names },
    },
    treasureData: {
      databases: treasureData.databases ?? [],
      name: treasureData.name ?? TD_EVENT_NAME,
      keys: treasureData.keys ?? usualColumns(keys, anonymousId),
    },
  };
}

function ownNames(): Record<NamelessCall, string> {
  return Object.fromEntries(NAMELESS_CALLS.map((call) => [call, call])) as Record<NamelessCall, string>;
}

/** Columns named like a key are that key; the SDK's own id is the anonymous one. */
function usualColumns(keys: readonly string[], anonymousId: string | null): Record<string, string> {
  const named = Object.fromEntries(keys.map((name) => [name, name]));
  return anonymousId === null ? named : { ...named, [TD_CLIENT_ID]: named[TD_CLIENT_ID] ?? anonymousId };
}

function present(names: readonly string[], keys: readonly string[]): readonly string[] {
  return names.filter((name) => keys.includes(name));
}
