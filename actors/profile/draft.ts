// What one message changes, gathered while it is decided: record states, guards, outbox and alarms.
import type { AlarmChange, Apply, Counted, OutboxEntry, RecordView } from '../../shared/contract/actor.ts';
import type { LogEnvelope } from '../../shared/contract/event.ts';
import { profileIdOf, recordKeys } from '../../shared/contract/names.ts';
import type { Activation, AuditEntry } from '../../shared/contract/outbox.ts';
import { shardOf } from '../../shared/contract/routing.ts';
import { invariant } from '../../shared/kernel/assert.ts';
import { EVENT_FLAGGED, type EventFlag, identityCounts, suppressedCounts } from './identity-counts.ts';
import type { Profile, Redirect, SnapshotRow } from './profile.ts';
import type { RecordState } from './record-codec.ts';

export interface ProfileChange {
  readonly id: string;
  readonly before: Profile | Redirect | null;
  readonly after: Profile | Redirect | null;
}

export interface SendRequested {
  readonly activation: Activation;
  readonly priority: number;
}

const NO_REQUESTS: readonly SendRequested[] = [];

export class Draft {
  readonly #view: RecordView;
  readonly #shards: number;
  readonly #writes = new Map<string, RecordState | null>();
  readonly #stages = new Map<string, Profile>();
  readonly #guards = new Set<string>();
  readonly #outbox: OutboxEntry[] = [];
  readonly #alarms: AlarmChange[] = [];
  readonly #counts: Counted[] = [];
  #requests: readonly SendRequested[] = [];

  constructor(view: RecordView, shards: number) {
    this.#view = view;
    this.#shards = shards;
  }

  /** The record as this message sees it: what it decided, else what is stored. Undefined: not loaded. */
  get(key: string): RecordState | null | undefined {
    return this.#writes.has(key)
      ? this.#writes.get(key)
      : (this.#view.get(key) as RecordState | null | undefined);
  }

  /** A row of a snapshot; undefined: not loaded. */
  row(key: string): SnapshotRow | null | undefined {
    return this.#view.get(key) as SnapshotRow | null | undefined;
  }

  put(key: string, state: RecordState | null): void {
    this.#writes.set(key, state);
  }

  /** Profiles that this message writes, as they were stored and as they will be. */
  profileChanges(): readonly ProfileChange[] {
    const changes: ProfileChange[] = [];
    for (const [key, after] of this.#writes) {
      const id = profileIdOf(key);
      if (id === undefined) continue;
      const before = (this.#view.get(key) ?? null) as ProfileChange['before'];
      changes.push({ id, before, after: after as ProfileChange['after'] });
    }
    return changes;
  }

  /** A profile on the way to what it will be: what came about by then is told by itself. */
  stage(profile: Profile): void {
    this.#stages.set(profile.id, profile);
  }

  /** As `profileChanges`, of a profile with a stage the change to it and the one from it. */
  profileSteps(): readonly ProfileChange[] {
    return this.profileChanges().flatMap(({ id, before, after }) => {
      const stage = this.#stages.get(id);
      if (!stage) return [{ id, before, after }];
      return [
        { id, before, after: stage },
        { id, before: stage, after },
      ];
    });
  }

  /** The decision relied on this record without changing it. */
  guard(key: string): void {
    this.#guards.add(key);
  }

  /** Something that is to be sent: the rules of sending decide when all is known. */
  request(activation: Activation, priority: number): void {
    this.#requests = [...this.#requests, { activation, priority }];
  }

  /** What was asked for a profile, and for those that became part of it; they are taken once. */
  takeRequests(profileId: string): readonly SendRequested[] {
    if (this.#requests.length === 0) return NO_REQUESTS;
    const isOurs = ({ activation: { profileId: id } }: SendRequested) =>
      id === profileId || this.#writes.get(recordKeys.profile(id))?.kind === 'redirect';
    const ours = this.#requests.filter(isOurs);
    this.#requests = this.#requests.filter((request) => !isOurs(request));
    return ours;
  }

  activation(activation: Activation): void {
    this.#append(recordKeys.activation(activation.name, activation.id), activation);
  }

  audit(entry: AuditEntry): void {
    this.#append(recordKeys.audit(entry.kind, entry.id), entry);
    this.#counts.push(...identityCounts(entry.facts), ...suppressedCounts(entry.facts));
  }

  /** Something about the message itself, to be counted when it is committed. */
  flag(reason: EventFlag): void {
    this.#counts.push({ kind: EVENT_FLAGGED, reason });
  }

  /** Arms a timer of a profile or redirect: the alarm clock's target is unique for this generation. */
  arm(profileId: string, timer: string, dueMs: number, generation: number): void {
    const body: LogEnvelope = { v: 1, type: 'timer', profileId, timer, generation, dueMs };
    this.#alarms.push({
      kind: 'arm',
      key: recordKeys.alarm(profileId, timer),
      target: recordKeys.fired(shardOf(profileId, this.#shards), profileId, timer, generation),
      atMs: dueMs,
      value: Buffer.from(JSON.stringify(body)),
    });
  }

  cancel(profileId: string, timer: string): void {
    this.#alarms.push({ kind: 'cancel', key: recordKeys.alarm(profileId, timer) });
  }

  /** `changed`: the profile that the message was applied to, if it was to one. */
  apply(changed?: string): Apply {
    invariant(this.#requests.length === 0, 'something was asked to be sent and not settled');
    const guards = [...this.#guards].filter((key) => !this.#writes.has(key));
    const apply: Apply = {
      kind: 'apply',
      writes: this.#writes,
      guards,
      outbox: this.#outbox,
      alarms: this.#alarms,
      ...(this.#counts.length > 0 && { counts: this.#counts }),
    };
    return changed !== undefined && this.#changesOnly(changed) ? { ...apply, stampable: true } : apply;
  }

  /** Whether nothing is done but a profile that existed is written. */
  #changesOnly(profileId: string): boolean {
    const key = recordKeys.profile(profileId);
    return (
      this.#writes.size === 1 &&
      this.#writes.has(key) &&
      (this.#view.get(key) ?? null) !== null &&
      this.#guards.size === 0 &&
      this.#outbox.length === 0 &&
      this.#alarms.length === 0
    );
  }

  #append(key: string, body: object): void {
    this.#outbox.push({ key, value: Buffer.from(JSON.stringify(body)) });
  }
}
