// Attribute states as rows of a profile's record. The first place says the kind; places never change their meaning.
import type {
  AttributeState,
  CounterState,
  Frequency,
  ListItem,
  RemovedItem,
  Session,
  SinceBatch,
} from './states.ts';

type Row = readonly unknown[];

const CODES = {
  single: 0,
  counter: 1,
  distinct: 2,
  list: 3,
  extreme: 4,
  average: 5,
  frequency: 6,
  sessions: 7,
} as const;

export function attributeRow(state: AttributeState): Row {
  const code = CODES[state.kind];
  switch (state.kind) {
    case 'single':
      return [code, state.value, state.atMs, state.messageId];
    case 'counter':
      return state.since
        ? [code, state.total, state.windows, sinceRow(state.since)]
        : [code, state.total, state.windows];
    case 'distinct':
      return [code, state.cut, ...state.values.flat()];
    case 'list': {
      const { cleared } = state;
      const items = state.items.flatMap(({ id, fields, bytes, atMs, messageId }) => [
        id,
        fields,
        bytes,
        atMs,
        messageId,
      ]);
      const removed = state.removed.flatMap(({ id, atMs, messageId }) => [id, atMs, messageId]);
      return [code, items, removed, cleared && [cleared.atMs, cleared.messageId]];
    }
    case 'extreme':
      return [code, state.value];
    case 'average':
      return [code, state.sum, state.count];
    case 'frequency':
      return [code, ...state.counts.flatMap(({ value, count, atMs }) => [value, count, atMs])];
    case 'sessions':
      return [code, state.earlier, state.sessions.map(sessionRow)];
    default:
      throw new Error(`unknown kind of attribute ${String((state as { kind: unknown }).kind)}`);
  }
}

/** Throws when the row is none of an attribute. */
export function attributeOf(row: Row): AttributeState {
  const [code, a, b, c] = row;
  switch (code) {
    case CODES.single:
      return { kind: 'single', value: a, atMs: b as number, messageId: c as string };
    case CODES.counter:
      return {
        kind: 'counter',
        total: a as number,
        windows: b as CounterState['windows'],
        ...(c !== undefined && { since: sinceOf(c as Row) }),
      };
    case CODES.distinct: {
      const values = inGroups(row.slice(2), 2).map(([hash, atMs]) => [hash, atMs] as [number, number]);
      return { kind: 'distinct', cut: a as number | null, values };
    }
    case CODES.list: {
      const cleared = c as readonly [number, string] | null;
      return {
        kind: 'list',
        items: inGroups(a as Row, 5).map(itemOf),
        removed: inGroups(b as Row, 3).map(removedOf),
        cleared: cleared && { atMs: cleared[0], messageId: cleared[1] },
      };
    }
    case CODES.extreme:
      return { kind: 'extreme', value: a as number | string };
    case CODES.average:
      return { kind: 'average', sum: a as number, count: b as number };
    case CODES.frequency:
      return { kind: 'frequency', counts: inGroups(row.slice(1), 3).map(frequencyOf) };
    case CODES.sessions:
      return { kind: 'sessions', earlier: a as number, sessions: (b as readonly Row[]).map(sessionOf) };
    default:
      throw new Error(`unknown kind of attribute ${String(code)}`);
  }
}

function sinceRow({ by, grain, sums }: SinceBatch): Row {
  return [by === 'time' ? 0 : 1, grain, ...sums.flat()];
}

function sinceOf(row: Row): SinceBatch {
  const sums = inGroups(row.slice(2), 2).map(([block, micros]) => [block, micros] as [number, number]);
  return { by: row[0] === 0 ? 'time' : 'position', grain: row[1] as number, sums };
}

function inGroups(row: Row, size: number): Row[] {
  const groups: Row[] = [];
  for (let at = 0; at < row.length; at += size) groups.push(row.slice(at, at + size));
  return groups;
}

function itemOf([id, fields, bytes, atMs, messageId]: Row): ListItem {
  return {
    id: id as string,
    fields: fields as ListItem['fields'],
    bytes: bytes as number,
    atMs: atMs as number,
    messageId: messageId as string,
  };
}

function removedOf([id, atMs, messageId]: Row): RemovedItem {
  return { id: id as string, atMs: atMs as number, messageId: messageId as string };
}

function frequencyOf([value, count, atMs]: Row): Frequency {
  return { value: value as Frequency['value'], count: count as number, atMs: atMs as number };
}

function sessionRow({ startMs, endMs, events, counts, entry }: Session): Row {
  return [startMs, endMs - startMs, events, counts, entry && [entry.atMs, entry.messageId, entry.value]];
}

function sessionOf([startMs, length, events, counts, entry]: Row): Session {
  const said = entry as readonly [number, string, unknown] | null;
  return {
    startMs: startMs as number,
    endMs: (startMs as number) + (length as number),
    events: events as number,
    counts: counts as Session['counts'],
    entry: said && { atMs: said[0], messageId: said[1], value: said[2] },
  };
}
