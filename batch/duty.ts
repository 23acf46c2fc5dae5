// Something that one batch process at a time does: a record in the profile bucket, written at the revision that its holder
// wrote last. A holder that died or hangs is found out by asking it; what keeps two apart is the revision alone.
import { backoffMs } from '../shared/kernel/backoff.ts';
import type { Clock } from '../shared/kernel/clock.ts';
import { StitchworkError } from '../shared/kernel/errors.ts';
import type { Random } from '../shared/kernel/random.ts';
import type { Presence } from '../shared/ports/presence.ts';
import type { RecordStore, Revision } from '../shared/ports/record-store.ts';

export interface DutyDeps {
  readonly store: Pick<RecordStore, 'read' | 'commit'>;
  readonly presence: Pick<Presence, 'ask'>;
  readonly clock: Clock;
  readonly random: Random;
}

interface Stored<State> {
  readonly v: 1;
  readonly owner: string | null;
  /** Different for every writing: what tells our own apart when its answer was lost. */
  readonly mark: string;
  readonly state: State;
}

/** Another process has taken the duty over. */
export class DutyLost extends Error {}

const ASK_TIMEOUT_MS = 1000;
/** A process that gives no answer is asked so many times before it is taken for hung. */
const ASKS_MAX = 3;
const WRITES_MAX = 10;

export class Duty<State> {
  readonly #deps: DutyDeps;
  readonly #key: string;
  readonly #self: string;
  #revision: Revision;
  #state: State;
  #writes = 0;

  private constructor(deps: DutyDeps, key: string, self: string, revision: Revision, state: State) {
    this.#deps = deps;
    this.#key = key;
    this.#self = self;
    this.#revision = revision;
    this.#state = state;
  }

  /** Undefined while another process that answers has it. Throws STORE_UNAVAILABLE. */
  static async claim<State>(
    deps: DutyDeps,
    key: string,
    self: string,
    initial: State,
    signal: AbortSignal,
  ): Promise<Duty<State> | undefined> {
    const { stored, revision } = await read<State>(deps, key);
    if (stored && (await isHeld(deps, stored.owner, self))) return undefined;
    const duty = new Duty(deps, key, self, revision, stored?.state ?? initial);
    try {
      await duty.write(duty.#state, signal);
      return duty;
    } catch (error) {
      if (error instanceof DutyLost) return undefined;
      throw error;
    }
  }

  get state(): State {
    return this.#state;
  }

  /** Durable when it resolves. Throws DutyLost, STORE_UNAVAILABLE. */
  async write(state: State, signal: AbortSignal): Promise<void> {
    await this.#put(this.#self, state, signal);
  }

  /** Lets another process have it at once. */
  async release(signal: AbortSignal): Promise<void> {
    await this.#put(null, this.#state, signal);
  }

  async #put(owner: string | null, state: State, signal: AbortSignal): Promise<void> {
    this.#writes += 1;
    const mark = `${this.#self}:${this.#writes}`;
    const body: Stored<State> = { v: 1, owner, mark, state };
    const value = Buffer.from(JSON.stringify(body));
    for (let attempt = 0; attempt < WRITES_MAX; attempt++) {
      signal.throwIfAborted();
      const put = { kind: 'put', key: this.#key, value, expect: this.#revision } as const;
      const outcome = await this.#deps.store.commit([put]);
      if (outcome.kind === 'committed') return this.#took(outcome.revisions[0] ?? 0, state);
      if (outcome.kind === 'conflict') {
        const now = await read<State>(this.#deps, this.#key);
        if (now.stored?.mark !== mark) throw new DutyLost(`${this.#key} was written by another process`);
        return this.#took(now.revision, state);
      }
      await this.#deps.clock.sleep(backoffMs(attempt, 20, 1000, this.#deps.random), signal);
    }
    throw new StitchworkError('STORE_UNAVAILABLE', `${this.#key} cannot be written`);
  }

  #took(revision: Revision, state: State): void {
    this.#revision = revision;
    this.#state = state;
  }
}

/** What the record says now; undefined: nobody has written it. Throws STORE_UNAVAILABLE, RECORD_DAMAGED. */
export async function readDuty<State>(
  deps: Pick<DutyDeps, 'store'>,
  key: string,
): Promise<{ readonly owner: string | null; readonly state: State } | undefined> {
  return (await read<State>(deps, key)).stored;
}

async function read<State>(
  { store }: Pick<DutyDeps, 'store'>,
  key: string,
): Promise<{ readonly stored: Stored<State> | undefined; readonly revision: Revision }> {
  const record = (await store.read([key], 'leader')).get(key);
  if (!record?.value) return { stored: undefined, revision: record?.revision ?? 0 };
  try {
    const stored = JSON.parse(Buffer.from(record.value).toString('utf8')) as Stored<State>;
    if (stored.v === 1) return { stored, revision: record.revision };
  } catch {
    // Said below.
  }
  throw new StitchworkError('RECORD_DAMAGED', `${key} is no record of a duty of a known version`);
}

async function isHeld({ presence }: DutyDeps, owner: string | null, self: string): Promise<boolean> {
  if (owner === null || owner === self) return false;
  for (let asks = 0; asks < ASKS_MAX; asks++) {
    const answer = await presence.ask(owner, ASK_TIMEOUT_MS);
    if (answer === 'there') return true;
    if (answer === 'gone') return false;
  }
  return false;
}
