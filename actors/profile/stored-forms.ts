// Records as they are stored: the same facts as the states, in rows instead of named fields. A row's places never change
// their meaning; what is new goes to the end, with a new record version.
import { attributeOf, attributeRow } from '../attributes/stored-forms.ts';
import type { JourneyPasts, Journeys } from '../journeys/states.ts';
import type { Sending } from '../sending/states.ts';
import type {
  Apart,
  HeldKey,
  JoinedRow,
  KeyLists,
  Link,
  Members,
  PastOwner,
  Profile,
  Redirect,
  TimerState,
} from './profile.ts';
import type { Rebuilding } from './rebuilding.ts';
import { decodeSeen, encodeSeen } from './seen.ts';
import type { Stamp } from './stamps.ts';

const PROFILE = 0;
const REDIRECT = 1;
const LINK = 2;
const MEMBERS = 3;
/** Numbers and strings of one held key in its row; before version 4 there was no time of the last event. */
const HELD_STRIDE = 4;
const HELD_STRIDE_V3 = 3;
const STRIDE_VERSION = 4;
/** Numbers of one stamp in its row. */
const STAMP_STRIDE = 3;

export type Row = readonly unknown[];

/** The row of a record, without its version. */
export function toRow(record: Profile | Redirect | Link | Members): Row {
  switch (record.kind) {
    case 'profile':
      return profileRow(record);
    case 'redirect':
      return [REDIRECT, record.to, record.atMs, record.generation, record.was ?? null];
    case 'link':
      return linkRow(record);
    case 'members':
      return record.journeys ? [MEMBERS, record.audiences, record.journeys] : [MEMBERS, record.audiences];
    default:
      throw new Error(`unknown kind ${String((record as { kind: unknown }).kind)}`);
  }
}

/** Throws when the row is none of a record. */
export function fromRow(row: Row, version: number): Profile | Redirect | Link | Members {
  switch (row[0]) {
    case PROFILE:
      return profileOf(row, version);
    case REDIRECT:
      return redirectOf(row);
    case LINK:
      return linkOf(row);
    case MEMBERS:
      return {
        kind: 'members',
        audiences: row[1] as Members['audiences'],
        ...(row[2] ? { journeys: row[2] as NonNullable<Members['journeys']> } : {}),
      };
    default:
      throw new Error(`unknown kind ${String(row[0])}`);
  }
}

function redirectOf([, to, atMs, generation, was]: Row): Redirect {
  const redirect = {
    kind: 'redirect',
    to: to as string,
    atMs: atMs as number,
    generation: generation as number,
  } as const;
  return was ? { ...redirect, was: was as NonNullable<Redirect['was']> } : redirect;
}

/** Most links are plain: what few have stands in one place at the end. */
function linkRow({ profileId, atMs, source, past, shared, touches, profiles }: Link): Row {
  const row = [LINK, profileId, atMs, source];
  if (past || shared || touches || profiles)
    row.push([past ?? null, shared ?? false, touches ?? null, profiles ?? null] as never);
  return row;
}

function linkOf([, profileId, atMs, source, more]: Row): Link {
  const link = {
    kind: 'link',
    profileId: profileId as string | null,
    atMs: atMs as number,
    source: source as string,
  } as const;
  if (!more) return link;
  const [past, shared, touches, profiles] = more as readonly unknown[];
  return {
    ...link,
    ...(past ? { past: past as readonly PastOwner[] } : {}),
    ...(shared === true && { shared }),
    ...(touches ? { touches: touches as KeyLists } : {}),
    ...(profiles ? { profiles: profiles as readonly string[] } : {}),
  };
}

function profileRow(profile: Profile): Row {
  const row: unknown[] = [
    PROFILE,
    profile.id,
    profile.createdAtMs,
    profile.updatedAtMs,
    profile.lastEventAtMs,
    mapValues(profile.keys, heldRow),
    mapValues(profile.attributes, attributeRow),
    encodeSeen(profile.seen),
    mapValues(profile.timers, ({ dueMs, generation }) => [dueMs, generation]),
    profile.generation,
    profile.fired,
    profile.mergedFrom,
    profile.mergedCount,
    profile.configVersion,
    profile.ending === true,
    profile.stamps ? stampsRow(profile.stamps) : null,
    profile.observed ?? null,
    profile.apart ?? null,
    profile.rebuilding ?? null,
    profile.former ?? null,
    profile.audiences ?? null,
    profile.batch ? mapValues(profile.batch, ({ run, atMs, of, values }) => [run, atMs, of, values]) : null,
  ];
  if (profile.journeys || profile.journeyPasts || profile.sending)
    row.push(profile.journeys ?? null, profile.journeyPasts ?? null);
  if (profile.sending) row.push(profile.sending);
  return row;
}

function profileOf(row: Row, version: number): Profile {
  const state: Profile = {
    kind: 'profile',
    id: row[1] as string,
    createdAtMs: row[2] as number,
    updatedAtMs: row[3] as number,
    lastEventAtMs: row[4] as number,
    keys: mapValues(row[5] as Record<string, Row>, version < STRIDE_VERSION ? heldOfV3 : heldOf),
    attributes: mapValues(row[6] as Record<string, Row>, attributeOf),
    seen: decodeSeen(row[7] as Uint8Array),
    timers: mapValues(row[8] as Record<string, Row>, timerOf),
    generation: row[9] as number,
    fired: row[10] as Record<string, number>,
    mergedFrom: row[11] as string[],
    mergedCount: row[12] as number,
    configVersion: row[13] as number,
  };
  const stamps = row[15] as readonly number[] | null | undefined;
  if (
    row[14] !== true &&
    !stamps &&
    !row[16] &&
    !row[17] &&
    !row[18] &&
    !row[19] &&
    !row[20] &&
    !row[21] &&
    !row[22] &&
    !row[23] &&
    !row[24]
  )
    return state;
  return {
    ...state,
    ...(row[14] === true && { ending: true }),
    ...(stamps && stamps.length > 0 && { stamps: stampsOf(stamps) }),
    ...(row[16] ? { observed: row[16] as KeyLists } : {}),
    ...(row[17] ? { apart: row[17] as readonly Apart[] } : {}),
    ...(row[18] ? { rebuilding: row[18] as readonly Rebuilding[] } : {}),
    ...(row[19] ? { former: row[19] as KeyLists } : {}),
    ...(row[20] ? { audiences: row[20] as Record<string, number> } : {}),
    ...(row[21] ? { batch: mapValues(row[21] as Record<string, Row>, joinedOf) } : {}),
    ...(row[22] ? { journeys: row[22] as Journeys } : {}),
    ...(row[23] ? { journeyPasts: row[23] as JourneyPasts } : {}),
    ...(row[24] ? { sending: row[24] as Sending } : {}),
  };
}

function joinedOf([run, atMs, of, values]: Row): JoinedRow {
  return {
    run: run as number,
    atMs: atMs as number,
    of: of as readonly string[],
    values: values as JoinedRow['values'],
  };
}

function heldRow(held: readonly HeldKey[]): Row {
  const row: unknown[] = [];
  for (const { value, firstSeenMs, lastSeenMs, source } of held)
    row.push(value, firstSeenMs, source, lastSeenMs - firstSeenMs);
  return row;
}

function heldOf(row: Row): HeldKey[] {
  const held: HeldKey[] = [];
  for (let at = 0; at < row.length; at += HELD_STRIDE) {
    const firstSeenMs = row[at + 1] as number;
    const lastSeenMs = firstSeenMs + (row[at + 3] as number);
    held.push({ value: row[at] as string, firstSeenMs, lastSeenMs, source: row[at + 2] as string });
  }
  return held;
}

function heldOfV3(row: Row): HeldKey[] {
  const held: HeldKey[] = [];
  for (let at = 0; at < row.length; at += HELD_STRIDE_V3) {
    const firstSeenMs = row[at + 1] as number;
    held.push({
      value: row[at] as string,
      firstSeenMs,
      lastSeenMs: firstSeenMs,
      source: row[at + 2] as string,
    });
  }
  return held;
}

function stampsRow(stamps: readonly Stamp[]): Row {
  return stamps.flatMap(({ shard, sequence, hash }) => [shard, sequence, hash]);
}

function stampsOf(row: readonly number[]): Stamp[] {
  const stamps: Stamp[] = [];
  for (let at = 0; at < row.length; at += STAMP_STRIDE)
    stamps.push({ shard: row[at]!, sequence: row[at + 1]!, hash: row[at + 2]! });
  return stamps;
}

function timerOf(row: Row): TimerState {
  return { dueMs: row[0] as number, generation: row[1] as number };
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  const mapped: Record<string, B> = {};
  for (const name in record) mapped[name] = map(record[name]!);
  return mapped;
}
