// The server-side copies of the outbox, in memory: each follows the bucket in order, with a lag, and may stand still
// for a while after a restart. Fired timers are copied into the event log, the others into lists of their own.
import type { EventSource } from '../../shared/contract/names.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { CopyName, CopyState, OutboxCopies } from '../../shared/ports/outbox-copies.ts';
import type { SimLog } from './log.ts';
import type { SimProcess } from './process.ts';
import type { SimStore, StoredMessage } from './store.ts';

const PREFIXES: Readonly<Record<CopyName, string>> = {
  activations: 'o.activation.',
  audit: 'o.audit.',
  dead: 'o.dead.',
  timers: 'f.',
};
const NAMES = Object.keys(PREFIXES) as readonly CopyName[];
const COPY_BURST_MAX = 50;
const STANDSTILL_MAX_MS = 12_000;
const REQUEST_TIMEOUT_MS = 800;

interface Copy {
  copiedTo: number;
  standsStill: boolean;
  lastActiveMs: number;
  readonly waiting: StoredMessage[];
}

export class SimCopies {
  readonly store: SimStore;
  readonly #log: SimLog;
  readonly #copies = new Map<CopyName, Copy>();
  readonly #createdAt: string;
  /** What was copied, in order. */
  readonly copied: Readonly<Record<CopyName, StoredMessage[]>> = {
    activations: [],
    audit: [],
    dead: [],
    timers: [],
  };
  /** When each audit entry was copied. */
  readonly auditCopiedAtMs: number[] = [];

  constructor(store: SimStore, log: SimLog) {
    this.store = store;
    this.#log = log;
    const { world } = store;
    this.#createdAt = new Date(world.nowMs).toISOString();
    for (const name of NAMES) {
      const copy = {
        copiedTo: 0,
        standsStill: false,
        lastActiveMs: world.nowMs,
        waiting: [],
      };
      this.#copies.set(name, copy);
    }
    store.onStored((message) => this.#notice(message));
    store.server.onUp(() => this.#afterRestart());
  }

  /** True when nothing is left to copy. */
  get settled(): boolean {
    return [...this.#copies.values()].every((copy) => copy.waiting.length === 0);
  }

  state(name: CopyName): CopyState {
    const copy = this.#copies.get(name)!;
    const { world } = this.store;
    const activeMs = copy.standsStill ? -1 : world.nowMs - copy.lastActiveMs;
    return {
      name,
      copiedTo: copy.copiedTo,
      lag: copy.waiting.length,
      activeMs,
      error: undefined,
      targetCreatedAt: this.#createdAt,
    };
  }

  restart(name: CopyName): void {
    const copy = this.#copies.get(name)!;
    copy.standsStill = false;
    this.#copySoon(name, copy);
  }

  purge(name: CopyName, upTo: number): void {
    this.store.purge((key) => key.startsWith(PREFIXES[name]), upTo);
  }

  #notice(message: StoredMessage): void {
    const name = NAMES.find((candidate) => message.key.startsWith(PREFIXES[candidate]));
    if (name === undefined) return;
    const copy = this.#copies.get(name)!;
    copy.waiting.push(message);
    this.#copySoon(name, copy);
  }

  #copySoon(name: CopyName, copy: Copy): void {
    const { world, server } = this.store;
    world.after(
      world.between(0, 30),
      '',
      () => {
        if (!server.up || copy.standsStill) return;
        copy.lastActiveMs = world.nowMs;
        for (const message of copy.waiting.splice(0, COPY_BURST_MAX)) this.#copy(name, copy, message);
        if (copy.waiting.length > 0) this.#copySoon(name, copy);
      },
      name === 'timers',
    );
  }

  #copy(name: CopyName, copy: Copy, message: StoredMessage): void {
    copy.copiedTo = message.sequence;
    this.copied[name].push(message);
    if (name === 'audit') this.auditCopiedAtMs.push(this.store.world.nowMs);
    if (name !== 'timers') return;
    const shard = Number(message.key.split('.')[1]);
    const source: EventSource = 'timer';
    this.#log.append([{ shard, source, payload: message.value ?? new Uint8Array() }]);
  }

  #afterRestart(): void {
    const { world } = this.store;
    for (const [name, copy] of this.#copies) {
      if (!world.chance(0.4)) {
        this.#copySoon(name, copy);
        continue;
      }
      world.mark('copies.stand still');
      copy.standsStill = true;
      world.after(world.between(200, STANDSTILL_MAX_MS), '', () => this.restart(name), false);
    }
  }
}

export function simOutboxCopies(copies: SimCopies, log: SimLog, process: SimProcess): OutboxCopies {
  const ask = <T>(label: string, answer: () => T): Promise<T> =>
    process.call<T>({
      label: `copies.${label}`,
      timeoutMs: REQUEST_TIMEOUT_MS,
      onTimeout: () => new StitchworkError('STORE_UNAVAILABLE', 'simulated: no reply'),
      serve: (reply) => reply(answer()),
    });
  return {
    states: () => ask('states', () => NAMES.map((name) => copies.state(name))),
    originSequence: () => ask('originSequence', () => copies.store.lastSequence),
    restart: (name) => ask(`restart ${name}`, () => copies.restart(name)),
    purge: (name, upTo) => ask(`purge ${name} ${upTo}`, () => copies.purge(name, upTo)),
    purgeLog: (upTo) => ask(`purgeLog ${upTo}`, () => log.purge(upTo)),
  };
}
