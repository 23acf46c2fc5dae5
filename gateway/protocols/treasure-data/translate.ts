// Records of Treasure Data's ingest APIs as events. A record is flat: its columns are the properties, some of them are
// stitching keys by the config, and its table names the event unless a column does. Pure.
import type { TreasureDataProtocolConfig } from '../../../shared/contract/config/protocol-config.ts';
import { isoMs } from '../../../shared/contract/parse-event.ts';
import type { Translated } from '../translated.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface RecordArrival {
  readonly config: TreasureDataProtocolConfig;
  readonly table: string;
  readonly receivedMs: number;
  /** What a column that asks for it by its own name is filled with. */
  readonly filled: { readonly td_ip: string; readonly td_ua: string | undefined };
}

/** Above this a time is in ms: in seconds it would be past the year 5000. */
const SECONDS_MAX = 1e11;
const TIME_MAX_MS = 7_258_118_400_000;
const DAY_MS = 86_400_000;
const POSTBACK_PAST_MS = 7 * DAY_MS;
const POSTBACK_FUTURE_MS = 3 * DAY_MS;
/** Not part of the record: how a postback is sent. */
const POSTBACK_PARAMETERS: ReadonlySet<string> = new Set(['td_write_key', 'td_format', 'td_record_time']);

/** A record of the records API, by `time` in seconds and `uuid`. */
export function translateRecord(record: unknown, arrival: RecordArrival): Translated {
  if (!isFields(record)) return notAnObject(record);
  return eventOf(record, timeMs(record.time), arrival);
}

/** A postback: any JSON object, at `td_record_time` unless that is too far off. */
export function translatePostback(record: unknown, arrival: RecordArrival): Translated {
  if (!isFields(record)) return notAnObject(record);
  const saidMs = timeMs(record.td_record_time);
  const aheadMs = (saidMs ?? Number.NaN) - arrival.receivedMs;
  const isNear = aheadMs >= -POSTBACK_PAST_MS && aheadMs <= POSTBACK_FUTURE_MS;
  const columns = Object.entries(record).filter(([column]) => !POSTBACK_PARAMETERS.has(column));
  return eventOf(Object.fromEntries(columns), isNear ? saidMs : timeMs(record.time), arrival);
}

function eventOf(record: Fields, atMs: number | undefined, arrival: RecordArrival): Translated {
  const { config, table } = arrival;
  const properties = fill(record, arrival.filled);
  const said = properties[config.name];
  const keys: Record<string, unknown> = {};
  for (const [column, key] of Object.entries(config.keys)) {
    const value = properties[column];
    const isId = typeof value === 'number' || (typeof value === 'string' && value !== '');
    if (isId && Object.hasOwn(properties, column) && !Object.hasOwn(keys, key)) keys[key] = value;
  }
  const name = typeof said === 'string' && said !== '' ? said : table;
  const messageId = typeof record.uuid === 'string' && record.uuid !== '' ? record.uuid : undefined;
  return { kind: 'event', value: { messageId, name, keys, properties, timestamp: atMs, table } };
}

/** Columns whose value is their own name ask us for it; there is no global id to give. */
function fill(record: Fields, filled: RecordArrival['filled']): Fields {
  const columns = Object.entries(record).flatMap(([column, value]) => {
    if (value !== column) return [[column, value] as const];
    if (column === 'td_global_id') return [];
    if (column !== 'td_ip' && column !== 'td_ua') return [[column, value] as const];
    return filled[column] === undefined ? [] : [[column, filled[column]] as const];
  });
  return Object.fromEntries(columns);
}

function timeMs(raw: unknown): number | undefined {
  const number = typeof raw === 'string' && /^\d{1,16}(\.\d+)?$/.test(raw) ? Number(raw) : raw;
  if (typeof number !== 'number') return isoMs(raw);
  const ms = Math.floor(number < SECONDS_MAX ? number * 1000 : number);
  return ms >= 0 && ms <= TIME_MAX_MS ? ms : undefined;
}

function notAnObject(record: unknown): Translated {
  const what = record === null ? 'null' : Array.isArray(record) ? 'a list' : `a ${typeof record}`;
  return { kind: 'rejected', code: 'INVALID_EVENT', message: `a record is an object, not ${what}` };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
