// What must be true when everything has been applied: an account of the log on its own, without the actor, the runtime
// or the order of commits. Touches are counted by name, merges by connected names, links and duties by their histories.

import type { LogMessage } from '../../shared/ports/event-log.ts';
import type { SimCopies } from './copies.ts';
import type { SimStore, StoredMessage } from './store.ts';
import {
  type DutyState,
  decodeToy,
  type Entry,
  type LinkState,
  type TallyMessage,
  type ToyState,
} from './tally-model.ts';
import { isDoomed } from './workload.ts';

interface Known {
  readonly log: LogMessage;
  readonly message: TallyMessage;
  /** What its entry in the outbox says: undefined when there is none. */
  readonly told: { readonly dead: boolean; readonly blocked: boolean } | undefined;
}

/** Everything that is wrong at the end of a run; empty when all is well. */
export function judge(store: SimStore, copies: SimCopies, history: Iterable<LogMessage>): string[] {
  const wrong: string[] = [];
  const told = readOutbox(copies, wrong);
  const known = [...history].map((log): Known => {
    const message = JSON.parse(Buffer.from(log.payload).toString()) as TallyMessage;
    return { log, message, told: told.get(log.sequence) };
  });
  for (const one of known) wrong.push(...judgeOutbox(one));
  if (told.size > known.length) wrong.push(`${told.size - known.length} outbox entries of no message`);
  const states = readStates(store);
  const lived = known.filter(({ told }) => told?.dead === false);
  wrong.push(...judgeEntries(states, lived, copies), ...judgeMerges(states, lived));
  wrong.push(...judgeLinks(states, lived), ...judgeDuties(states, lived), ...judgeTimers(states, known));
  return wrong;
}

function readOutbox(copies: SimCopies, wrong: string[]): Map<number, { dead: boolean; blocked: boolean }> {
  const told = new Map<number, { dead: boolean; blocked: boolean }>();
  const { activations, audit, dead } = copies.copied;
  for (const { key, value } of [...activations, ...audit, ...dead]) {
    if (!/\.(applied|dead)\./.test(key)) continue;
    const body = JSON.parse(Buffer.from(value!).toString()) as { sequence: number; blocked?: boolean };
    if (told.has(body.sequence)) wrong.push(`message ${body.sequence} left two outbox entries`);
    told.set(body.sequence, { dead: key.startsWith('o.dead.'), blocked: body.blocked === true });
  }
  return told;
}

function judgeOutbox({ log, message, told }: Known): string[] {
  if (!told) return [`message ${log.sequence} of shard ${log.shard} was never applied`];
  if (told.dead !== isDoomed(message)) {
    return [
      `message ${log.sequence} ${told.dead ? 'is' : 'is not'} a dead letter: ${JSON.stringify(message)}`,
    ];
  }
  return [];
}

function readStates(store: SimStore): Map<string, ToyState> {
  const states = new Map<string, ToyState>();
  for (const key of [...store.keys('p.'), ...store.keys('k.')]) {
    const value = store.latest(key)?.value;
    if (value && key !== 'p.damaged') states.set(key, decodeToy(value));
  }
  return states;
}

/** Each touch stands exactly once in what is kept or was dropped, and per shard and name in the order of the log. */
function judgeEntries(
  states: ReadonlyMap<string, ToyState>,
  lived: readonly Known[],
  copies: SimCopies,
): string[] {
  const wrong: string[] = [];
  const counts = new Map<string, number>();
  for (const entries of entryLists(states, copies.copied.audit)) {
    for (const { sequence, name } of entries) {
      const id = `${sequence} ${name}`;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    wrong.push(...judgeOrder(entries));
  }
  for (const { log, message, told } of lived) {
    for (const name of message.touch ?? []) {
      const entry = message.ifAbsent === undefined ? name : `${name}!${message.ifAbsent}`;
      const due = told?.blocked ? 0 : 1;
      const found = counts.get(`${log.sequence} ${entry}`) ?? 0;
      counts.delete(`${log.sequence} ${entry}`);
      if (found !== due)
        wrong.push(`touch of ${entry} by ${log.sequence} counted ${found} times, not ${due}`);
    }
  }
  for (const id of counts.keys()) wrong.push(`entry ${id} comes from no message`);
  return wrong;
}

function entryLists(
  states: ReadonlyMap<string, ToyState>,
  audit: readonly StoredMessage[],
): (readonly Entry[])[] {
  const lists: (readonly Entry[])[] = [];
  const touches = (entries: readonly Entry[]) =>
    entries.filter(({ what }) => what === 'touch' || what === 'absent');
  for (const state of states.values()) if (state.kind === 'tally') lists.push(touches(state.entries));
  for (const { key, value } of audit) {
    if (key.startsWith('o.audit.dropped.'))
      lists.push(touches(JSON.parse(Buffer.from(value!).toString()) as Entry[]));
  }
  return lists;
}

function judgeOrder(entries: readonly Entry[]): string[] {
  const wrong: string[] = [];
  const last = new Map<string, number>();
  for (const { shard, name, sequence } of entries) {
    const lane = `${shard} ${name.split('!')[0]}`;
    if (sequence <= (last.get(lane) ?? 0)) wrong.push(`${sequence} came after ${last.get(lane)} on ${lane}`);
    last.set(lane, sequence);
  }
  return wrong;
}

/** Names that were merged lead to the smallest of them, and its record is live. */
function judgeMerges(states: ReadonlyMap<string, ToyState>, lived: readonly Known[]): string[] {
  const wrong: string[] = [];
  const parent = new Map<string, string>();
  const find = (name: string): string => (parent.has(name) ? find(parent.get(name)!) : name);
  for (const { message } of lived) {
    if (!message.merge) continue;
    const [a, b] = message.merge.map(find) as [string, string];
    const [small, large] = [a, b].sort() as [string, string];
    if (small !== large) parent.set(large, small);
  }
  const names = [...states.keys()].filter((key) => /^p\.n/.test(key)).map((key) => key.slice(2));
  for (const name of new Set([...names, ...parent.keys()])) {
    const found = follow(states, name);
    if (found !== find(name)) wrong.push(`${name} leads to ${found}, not to ${find(name)}`);
  }
  return wrong;
}

function follow(states: ReadonlyMap<string, ToyState>, name: string): string {
  let at = name;
  for (let steps = 0; steps < 100; steps++) {
    const state = states.get(`p.${at}`);
    if (state?.kind !== 'redirect') return at;
    at = state.to;
  }
  return 'a circle';
}

/** A link is held by exactly one record, the one that the last of its messages named. */
function judgeLinks(states: ReadonlyMap<string, ToyState>, lived: readonly Known[]): string[] {
  const wrong: string[] = [];
  for (const [key, state] of states) {
    if (state.kind !== 'link') continue;
    const name = key.slice('k.link.'.length);
    const asked = lived.filter(({ message }) => message.link?.name === name);
    wrong.push(...judgeHistory(key, (state as LinkState).history, asked));
    const last = asked.find(({ log }) => log.sequence === state.history.at(-1));
    const due = last && follow(states, last.message.link!.to);
    const holders = [...states]
      .filter(([, s]) => s.kind === 'tally' && s.links.includes(name))
      .map(([k]) => k.slice(2));
    if (holders.join() !== due) wrong.push(`link ${name} is held by [${holders}], not by ${due}`);
    if (follow(states, state.to) !== due) wrong.push(`link ${name} leads to ${state.to}, not to ${due}`);
  }
  return wrong;
}

function judgeHistory(key: string, history: readonly number[], asked: readonly Known[]): string[] {
  const wrong: string[] = [];
  const due = asked.map(({ log }) => log.sequence);
  if ([...history].sort((a, b) => a - b).join() !== due.join())
    wrong.push(`${key} has [${history}], due [${due}]`);
  const shardOf = new Map(asked.map(({ log }) => [log.sequence, log.shard]));
  const last = new Map<number, number>();
  for (const sequence of history) {
    const shard = shardOf.get(sequence) ?? -1;
    if (sequence <= (last.get(shard) ?? 0)) wrong.push(`${key}: ${sequence} after ${last.get(shard)}`);
    last.set(shard, sequence);
  }
  return wrong;
}

/** Never both off duty; who came on did so once; the last word counts. */
function judgeDuties(states: ReadonlyMap<string, ToyState>, lived: readonly Known[]): string[] {
  const wrong: string[] = [];
  const isOff = (key: string) => {
    const state = states.get(key);
    return state?.kind === 'duty' && !state.on;
  };
  for (const pair of ['0', '1']) {
    if (isOff(`p.duty-${pair}-a`) && isOff(`p.duty-${pair}-b`))
      wrong.push(`both of pair ${pair} are off duty`);
    for (const side of ['a', 'b'] as const) {
      const asked = lived.filter(({ message }) => message.duty?.pair === pair && message.duty.side === side);
      wrong.push(
        ...judgeDuty(states.get(`p.duty-${pair}-${side}`) as DutyState | undefined, asked, `${pair}${side}`),
      );
    }
  }
  return wrong;
}

function judgeDuty(state: DutyState | undefined, asked: readonly Known[], name: string): string[] {
  const wrong: string[] = [];
  const entries = state?.entries ?? [];
  for (const { log, message } of asked) {
    const found = entries.filter(({ sequence }) => sequence === log.sequence).length;
    if (found > 1 || (message.duty!.on && found !== 1))
      wrong.push(`duty ${name}: ${log.sequence} counted ${found} times`);
  }
  const last = asked.find(({ log }) => log.sequence === entries.at(-1)?.sequence);
  if (state && last?.message.duty?.on !== state.on)
    wrong.push(`duty ${name} is not what its last message said`);
  wrong.push(...judgeOrder(entries));
  return wrong;
}

/** Every alarm clock that was armed and not cancelled has rung, once. */
function judgeTimers(states: ReadonlyMap<string, ToyState>, known: readonly Known[]): string[] {
  const wrong: string[] = [];
  for (const [key, state] of states) {
    if (state.kind === 'tally' && state.alarm) wrong.push(`the alarm clock of ${key} never rang`);
  }
  const fired = new Set<string>();
  for (const { message } of known) {
    if (!message.fired) continue;
    if (fired.has(message.id)) wrong.push(`alarm ${message.id} rang twice`);
    fired.add(message.id);
  }
  return wrong;
}
