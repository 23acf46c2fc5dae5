// Carries out splits and merges that were asked for: every one once, by one gateway at a time, and by another when that
// one is gone. Each step may be done again: a command that comes twice changes nothing more.
import type { CommandReply } from '../../shared/contract/command.ts';
import { type Clock, systemClock } from '../../shared/kernel/clock.ts';
import { errorText, StitchworkError } from '../../shared/kernel/errors.ts';
import type { GatewaySegment } from '../deps.ts';
import { finishSplit } from './finish-split.ts';
import { inLanes } from './in-lanes.ts';
import { isFinished, type Job, type RebuildMany } from './job.ts';
import { JobStore } from './job-store.ts';
import { livingProfile } from './living-profile.ts';
import { type CommandMark, sendCommand } from './send-command.ts';

export interface JobLog {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
}

/** A gateway that says nothing for so long works on it no more. */
const HOLD_MS = 15_000;
const RENEW_MS = 5_000;
const SCAN_MS = 5_000;
const COMMAND_WAIT_MS = 10_000;

type Wanted = Pick<Job, 'id' | 'command' | 'by'> & { readonly allowIncomplete: boolean };

export class JobRunner {
  readonly jobs: JobStore;
  readonly #segment: GatewaySegment;
  readonly #clock: Clock;
  readonly #log: JobLog;
  readonly #closed = new AbortController();
  readonly #running = new Map<string, Promise<Job | undefined>>();

  constructor(segment: GatewaySegment, log: JobLog, clock: Clock = systemClock) {
    this.#segment = segment;
    this.#clock = clock;
    this.#log = log;
    this.jobs = new JobStore(segment.store, clock);
  }

  /**
   * Stores what is wanted and carries it out; the job as it stands when it is done or the deadline has passed. Throws
   * HISTORY_GONE, PROFILE_NOT_FOUND, OVERLOADED, STORE_UNAVAILABLE: then nothing was stored.
   */
  async ask({ id, command, by, allowIncomplete }: Wanted, deadlineMs: number): Promise<Job> {
    if ((command.kind === 'split_begin' || command.kind === 'rebuild') && !allowIncomplete)
      await this.#assertHistory(command.profileId);
    const now = this.#clock.nowMs();
    const job: Job = {
      v: 1,
      id,
      command,
      by,
      askedAtMs: now,
      step: 'asked',
      profileIds: [],
      heldUntilMs: now + HOLD_MS,
    };
    const stored = await this.jobs.update(id, () => job);
    const late = new AbortController();
    const deadline = this.#clock.sleep(deadlineMs, late.signal).catch(() => undefined);
    const done = await Promise.race([this.#carry(stored ?? job), deadline]);
    late.abort();
    return done ?? (await this.jobs.read(id)) ?? job;
  }

  /** Looks for jobs that nobody works on, now and then, until `close`. */
  async watch(): Promise<void> {
    for (;;) {
      await this.#clock.sleep(SCAN_MS, this.#closed.signal).catch(() => undefined);
      if (this.#closed.signal.aborted) return;
      try {
        await this.#resume();
      } catch (error) {
        this.#log.warn({ reason: errorText(error) }, 'splits and merges could not be looked for');
      }
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.allSettled(this.#running.values());
  }

  async #resume(): Promise<void> {
    for (const id of await this.jobs.openIds()) {
      if (this.#running.has(id) || this.#closed.signal.aborted) continue;
      const held = await this.#hold(id);
      if (!held) continue;
      this.#log.info({ job: id, step: held.step }, 'going on with a split or merge that was left');
      void this.#carry(held);
    }
  }

  /** The job, when nobody else works on it now. */
  async #hold(id: string): Promise<Job | undefined> {
    const now = this.#clock.nowMs();
    let isOurs = false;
    const job = await this.jobs.update(id, (stored) => {
      isOurs = stored !== undefined && stored.heldUntilMs <= now;
      return isOurs ? { ...stored!, heldUntilMs: now + HOLD_MS } : undefined;
    });
    return isOurs ? job : undefined;
  }

  /** The finished job; undefined when it could not be finished now. Never throws. */
  #carry(job: Job): Promise<Job | undefined> {
    const running = this.#run(job)
      .catch(async (error: unknown) => {
        this.#log.warn({ job: job.id, reason: errorText(error) }, 'a split or merge is tried again later');
        await this.#letGo(job.id);
        return undefined;
      })
      .finally(() => this.#running.delete(job.id));
    this.#running.set(job.id, running);
    return running;
  }

  /** Whoever looks next may go on with it. */
  async #letGo(id: string): Promise<void> {
    try {
      await this.jobs.update(id, (stored) => stored && { ...stored, heldUntilMs: 0 });
    } catch (error) {
      this.#log.warn({ job: id, reason: errorText(error) }, 'a job is held until its time is over');
    }
  }

  async #run(asked: Job): Promise<Job | undefined> {
    const done = new AbortController();
    const signal = AbortSignal.any([this.#closed.signal, done.signal]);
    void this.#renew(asked.id, signal);
    try {
      let job = asked;
      if (job.step === 'asked') job = await this.#begin(job);
      if (job.step === 'begun') job = await this.#finish(job);
      return isFinished(job) ? job : undefined;
    } finally {
      done.abort();
    }
  }

  async #renew(id: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#clock.sleep(RENEW_MS, signal);
        const heldUntilMs = this.#clock.nowMs() + HOLD_MS;
        await this.jobs.update(id, (stored) => stored && { ...stored, heldUntilMs });
      } catch (error) {
        // Another gateway may take it over: each step is safe to be done twice.
        if (!signal.aborted) this.#log.warn({ job: id, reason: errorText(error) }, 'a job could not be held');
      }
    }
  }

  async #begin(job: Job): Promise<Job> {
    const mark = { id: job.id, by: job.by, atMs: job.askedAtMs };
    if (job.command.kind === 'rebuild_many') return this.#beginMany(job, job.command, mark);
    const reply = await sendCommand(this.#segment, job.command, mark, COMMAND_WAIT_MS);
    if (!reply) throw new StitchworkError('NOT_READY', 'the command was not applied in time');
    return (await this.jobs.update(job.id, (stored) => ({ ...(stored ?? job), ...afterBegin(job, reply) })))!;
  }

  /** Profiles that are gone, or being counted anew already, are left out. */
  async #beginMany(job: Job, { profileIds, attributes }: RebuildMany, mark: CommandMark): Promise<Job> {
    const begun: string[] = [];
    await inLanes(profileIds, async (profileId) => {
      const command = { kind: 'rebuild', profileId, attributes } as const;
      const reply = await sendCommand(this.#segment, command, mark, COMMAND_WAIT_MS);
      if (!reply) throw new StitchworkError('NOT_READY', `profile ${profileId} was not emptied in time`);
      if (!reply.refused && !reply.code) begun.push(...reply.profileIds);
    });
    const next = { step: 'begun', profileIds: [...new Set(begun)].sort() } as const;
    return (await this.jobs.update(job.id, (stored) => ({ ...(stored ?? job), ...next })))!;
  }

  async #finish(job: Job): Promise<Job> {
    const split = { splitId: job.id, profileIds: job.profileIds, by: job.by };
    const options = { clock: this.#clock, signal: this.#closed.signal };
    const { keptFromMs } = await finishSplit(this.#segment, split, options);
    const done = { step: 'done', ...(keptFromMs !== undefined && { keptFromMs }) } as const;
    return (await this.jobs.update(job.id, (stored) => ({ ...(stored ?? job), ...done })))!;
  }

  /** What is counted anew is counted from archive and log: they must reach back to the profile's beginning. */
  async #assertHistory(profileId: string): Promise<void> {
    const { history, store } = this.#segment;
    const whole = await livingProfile(store, profileId);
    if (!whole) throw new StitchworkError('PROFILE_NOT_FOUND', `There is no profile ${profileId}.`);
    const { keptFromMs, firstSequence } = await history.beginning();
    const isKept = firstSequence <= 1 || (keptFromMs !== undefined && keptFromMs <= whole.createdAtMs);
    if (isKept) return;
    const from = keptFromMs === undefined ? 'now' : new Date(keptFromMs).toISOString();
    const since = new Date(whole.createdAtMs).toISOString();
    throw new StitchworkError(
      'HISTORY_GONE',
      `Profile ${profileId} began at ${since}, events are kept from ${from} on: what happened before could not be counted. With allowIncomplete it is counted from then on.`,
      { details: [{ profileId, since, keptFrom: from }] },
    );
  }
}

function afterBegin(job: Job, reply: CommandReply): Partial<Job> {
  if (reply.refused) return { step: 'refused', reason: reply.refused.reason, detail: reply.refused.detail };
  if (reply.code) return { step: 'failed', reason: reply.code };
  return { step: job.command.kind === 'merge' ? 'done' : 'begun', profileIds: reply.profileIds };
}
