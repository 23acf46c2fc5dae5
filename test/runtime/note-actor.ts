// The smallest actor that can provoke what the runtime must handle: records are lists of the messages applied to them.
import type { Actor, ActorMessage, Apply, Decision, RecordView } from '../../shared/contract/actor.ts';

export interface Note {
  /** Appends the message to these records. */
  readonly touch?: readonly string[];
  /** Who waits for the message. */
  readonly reply?: string;
  /** Does nothing else when there is such a record. It is only read. */
  readonly unless?: string;
  /** Touches, and names this record as one that the decision relied on. */
  readonly relyOn?: string;
  readonly throws?: 'parse' | 'decide' | 'encode';
  /** Bytes that the touched records grow by. */
  readonly grow?: number;
  /** What is counted. */
  readonly count?: string;
  /** Outbox messages. */
  readonly send?: number;
  /** Bytes of each of them. */
  readonly sendBytes?: number;
  /** Cannot be decided under an older config. */
  readonly configVersion?: number;
  /** Can be stamped when it touches one record that exists; then it is recognised by its stamp. */
  readonly stampable?: true;
  /** Always finds its records contradictory. */
  readonly neverEnough?: boolean;
}

export interface NoteState {
  readonly seen: readonly number[];
  readonly bytes: number;
  readonly unstorable?: boolean;
  readonly stamps?: readonly string[];
}

const STAMPS_MAX = 4;

export const keyOf = (name: string) => `p.${name}`;

export function noteActor(configVersion = 1): Actor<Note> {
  return {
    configVersion,
    parse(message) {
      const note = JSON.parse(Buffer.from(message.payload).toString()) as Note;
      if (note.throws === 'parse') throw new Error('cannot be read');
      return note;
    },
    decide(message, note, view) {
      if (note.throws === 'decide') throw new Error('cannot be decided');
      if ((note.configVersion ?? 0) > configVersion) return { kind: 'wait', reason: 'newer config' };
      const decision = decide(message, note, view);
      if (decision.kind !== 'apply' || note.reply === undefined) return decision;
      return { ...decision, reply: { to: note.reply, body: Buffer.from(String(message.sequence)) } };
    },
    stamp(state, messages, isSettled) {
      const note = state as NoteState;
      const open = (note.stamps ?? []).filter((stamp) => {
        const [shard, sequence] = stamp.split('.').map(Number);
        return !isSettled(shard!, sequence!);
      });
      const stamps = [...open, ...messages.map(({ shard, sequence }) => `${shard}.${sequence}`)];
      return stamps.length > STAMPS_MAX ? undefined : { ...note, stamps };
    },
    encode(_key, state) {
      const note = state as NoteState;
      if (note.unstorable) throw new Error('cannot be stored');
      return Buffer.concat([Buffer.from(JSON.stringify(note)), Buffer.alloc(note.bytes, ' ')]);
    },
    decode: (_key, bytes) => JSON.parse(Buffer.from(bytes).toString()) as NoteState,
    refusal: ({ payload }, { code }) => {
      const { reply } = JSON.parse(Buffer.from(payload).toString()) as Note;
      return reply === undefined ? undefined : { to: reply, body: Buffer.from(code) };
    },
    deadLetter: ({ shard, sequence }, reason) => ({
      key: `o.dead.${shard}.${sequence}`,
      value: Buffer.from(JSON.stringify({ shard, sequence, ...reason })),
    }),
  };
}

function decide({ shard, sequence }: ActorMessage, note: Note, view: RecordView): Decision {
  const reads = [...(note.touch ?? []), note.unless, note.relyOn].filter((name) => name !== undefined);
  const keys = reads.map(keyOf);
  const missing = keys.filter((key) => view.get(key) === undefined);
  if (missing.length > 0) return { kind: 'need', keys: missing };
  if (note.neverEnough) return { kind: 'need', keys, fresh: true };
  if (note.unless !== undefined && view.get(keyOf(note.unless)) !== null) return nothing();
  const states = (note.touch ?? []).map((name) => view.get(keyOf(name)) as NoteState | null);
  if (states.some((state) => state?.stamps?.includes(`${shard}.${sequence}`))) return nothing();
  const writes = new Map<string, unknown>();
  for (const name of note.touch ?? []) {
    const before = (view.get(keyOf(name)) ?? { seen: [], bytes: 0 }) as NoteState;
    const bytes = before.bytes + (note.grow ?? 0);
    const state: NoteState = { ...before, seen: [...before.seen, sequence], bytes };
    writes.set(keyOf(name), note.throws === 'encode' ? { ...state, unstorable: true } : state);
  }
  const outbox = Array.from({ length: note.send ?? 0 }, (_, index) => ({
    key: `o.activation.note.${sequence}x${index}`,
    value: Buffer.alloc(note.sendBytes ?? 1, ' '),
  }));
  return {
    kind: 'apply',
    writes,
    guards: note.relyOn === undefined ? [] : [keyOf(note.relyOn)],
    outbox,
    alarms: [],
    ...(note.count !== undefined && { counts: [{ kind: note.count, reason: 'none' }] }),
    ...(note.stampable && states.length === 1 && states[0] && { stampable: true as const }),
  };
}

function nothing(): Apply {
  return { kind: 'apply', writes: new Map(), guards: [], outbox: [], alarms: [] };
}
