// The server's copies of the outbox, seen through stream states and mended by stream updates.
import { OUTBOX_FILTERS, type SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { CopyName, CopyState, OutboxCopies } from '../ports/outbox-copies.ts';
import type { NatsDoor } from './connect.ts';
import { callApi, getMessage, rawHeader, type StreamState, streamInfo } from './jetstream-api.ts';
import { whileBehind } from './leader-lag.ts';
import { type OutboxName, outboxSource } from './topology.ts';

const NS = 1e6;
const COPIES: readonly CopyName[] = ['activations', 'audit', 'dead', 'timers'];

export function createOutboxCopies(door: NatsDoor, names: SegmentNames): OutboxCopies {
  return {
    states: () => Promise.all(COPIES.map((name) => stateOf(door, names, name))),
    async originSequence(atLeast = 0) {
      const look = () => info(door, names.profilesStream);
      const { state } = await whileBehind(look, (found) => found.state.last_seq, atLeast);
      return state.last_seq;
    },
    async restart(name) {
      const stream = targetOf(names, name).stream;
      const { config } = await info(door, stream);
      const { sources, ...without } = config;
      if (sources !== undefined) await update(door, stream, without);
      // Another process that did the first half may have left none: the description of the topology has them too.
      await update(door, stream, { ...without, sources: sources ?? [outboxSource(names, outboxOf(name))] });
    },
    async purge(name, upTo) {
      const filter = names.recordSubject(OUTBOX_FILTERS[outboxOf(name)]);
      // The server purges up to but not including `seq`.
      await purge(door, names.profilesStream, { filter, seq: upTo + 1 });
    },
    purgeLog: (upTo) => purge(door, names.eventsStream, { seq: upTo + 1 }),
  };
}

/** The part of the outbox that a copy takes. */
function outboxOf(name: CopyName): OutboxName {
  if (name === 'timers') return 'fired';
  return name === 'activations' ? 'activation' : name;
}

function targetOf(names: SegmentNames, name: CopyName): { stream: string; newest: string } {
  switch (name) {
    case 'activations':
      return { stream: names.activationsStream, newest: names.activationsFilter };
    case 'audit':
      return { stream: names.auditStream, newest: names.auditFilter };
    case 'dead':
      return { stream: names.deadStream, newest: names.deadFilter };
    case 'timers':
      return { stream: names.eventsStream, newest: names.sourceFilter('timer') };
  }
}

async function stateOf(door: NatsDoor, names: SegmentNames, name: CopyName): Promise<CopyState> {
  const target = targetOf(names, name);
  const { created, sources } = await info(door, target.stream);
  const newest = await getMessage(door, target.stream, { last_by_subj: target.newest }, 'STORE_UNAVAILABLE');
  const source = sources?.find((candidate) => candidate.name === names.profilesStream);
  const active = source?.active ?? -1;
  return {
    name,
    copiedTo: newest ? copiedSequence(newest.headers) : 0,
    lag: source?.lag ?? 0,
    activeMs: active < 0 ? -1 : active / NS,
    error: source ? source.error?.description : 'the stream has no source',
    targetCreatedAt: created,
  };
}

/** `Nats-Stream-Source: <stream> <origin sequence> …` (NATS ADR-6). */
function copiedSequence(headers: string): number {
  return Number(rawHeader(headers, 'Nats-Stream-Source')?.split(' ')[1] ?? 0);
}

async function info(door: NatsDoor, stream: string): Promise<StreamState> {
  const found = await streamInfo(door, stream, 'STORE_UNAVAILABLE');
  if (!found) throw new StitchworkError('STORE_UNAVAILABLE', `there is no stream ${stream}`);
  return found;
}

async function update(
  door: NatsDoor,
  stream: string,
  config: Readonly<Record<string, unknown>>,
): Promise<void> {
  const answer = await callApi(door, `STREAM.UPDATE.${stream}`, config);
  if (answer.kind !== 'ok') throw unavailable(stream, answer);
}

async function purge(door: NatsDoor, stream: string, query: { filter?: string; seq: number }): Promise<void> {
  const answer = await callApi(door, `STREAM.PURGE.${stream}`, query);
  if (answer.kind !== 'ok') throw unavailable(stream, answer);
}

function unavailable(
  stream: string,
  answer: { kind: 'error'; error: { description: string } } | { kind: 'none'; reason: string },
): StitchworkError {
  const reason = answer.kind === 'error' ? answer.error.description : answer.reason;
  return new StitchworkError('STORE_UNAVAILABLE', `${stream}: ${reason}`);
}
