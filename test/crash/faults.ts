// The schedule of faults: a deck with every kind of fault, shuffled by the seed, played again and again. Victims and
// parameters are drawn from the seed alone; only the moments depend on the machine. After most faults the next one waits
// until all shards are seen to work again, so that there is always progress.
import { type Random, randomBelow, seededRandom } from '../../shared/kernel/random.ts';
import type { CommitPhase } from '../../shared/ports/worker-telemetry.ts';
import type { Canary } from './canary.ts';
import { type Fleet, readPhase, type Slot } from './fleet.ts';
import type { ReceiverFault } from './receiver.ts';
import type { Struck } from './report.ts';
import type { SingleServer } from './single-server.ts';

export interface Fault {
  readonly kind:
    | 'kill worker'
    | 'pause worker'
    | 'kill nats-server'
    | 'kill gateway'
    | 'kill activator'
    | 'pause activator'
    | `receiver ${ReceiverFault}`;
  /** Which of the gateways or workers; for nats-server the worker that is aimed by. */
  readonly victim: number;
  /** Strike when the worker is in this step. */
  readonly aim: CommitPhase | undefined;
  /** The worker kills itself again at this step of its next life. */
  readonly crashAtNext: string | undefined;
  /** How long the process stands still, or the server stays away. */
  readonly awayMs: number;
  /** The next fault comes without waiting for recovery. */
  readonly overlap: boolean;
}

interface Counts {
  readonly gateways: number;
  readonly workers: number;
  readonly activators: number;
}

type Card = Pick<Fault, 'kind' | 'aim'> & { readonly crashAt?: CommitPhase };

const DECK: readonly Card[] = [
  { kind: 'kill worker', aim: undefined, crashAt: 'committed' },
  { kind: 'kill worker', aim: 'deciding', crashAt: 'committing' },
  { kind: 'kill worker', aim: 'committing', crashAt: 'deciding' },
  { kind: 'pause worker', aim: undefined },
  { kind: 'pause worker', aim: 'committing' },
  { kind: 'kill nats-server', aim: undefined },
  { kind: 'kill nats-server', aim: 'committing' },
  { kind: 'kill gateway', aim: undefined },
  { kind: 'kill activator', aim: undefined },
  { kind: 'kill activator', aim: undefined },
  { kind: 'pause activator', aim: undefined },
  { kind: 'receiver down', aim: undefined },
  { kind: 'receiver errors', aim: undefined },
  { kind: 'receiver hangs', aim: undefined },
  { kind: 'receiver closes', aim: undefined },
];
export const DECK_SIZE = DECK.length;

const OVERLAP_SHARE = 0.25;
const PAUSE_MIN_MS = 1600;
const PAUSE_SPAN_MS = 1400;
const SERVER_AWAY_SPAN_MS = 400;
const AIM_MS = 1000;
const CRASH_AT_DEADLINE_MS = 45_000;

/** Faults without end, the same for the same seed. */
export function* scheduleOf(seed: number, fleet: Counts): Generator<Fault, never> {
  const random = seededRandom(seed ^ 0x5eed);
  for (;;) for (const card of shuffled(DECK, random)) yield deal(card, fleet, random);
}

function deal(card: Card, fleet: Counts, random: Random): Fault {
  const victim = randomBelow(random, candidates(card, fleet));
  const count = 5 + randomBelow(random, 30);
  const pauseMs = PAUSE_MIN_MS + randomBelow(random, PAUSE_SPAN_MS);
  const serverMs = randomBelow(random, SERVER_AWAY_SPAN_MS);
  const overlap = random.next() < OVERLAP_SHARE;
  return {
    kind: card.kind,
    victim,
    aim: card.aim,
    crashAtNext: card.crashAt && `${card.crashAt}:${count}`,
    awayMs: card.kind === 'kill nats-server' ? serverMs : pauseMs,
    overlap,
  };
}

function candidates({ kind }: Card, { gateways, workers, activators }: Counts): number {
  if (kind === 'kill gateway') return gateways;
  return kind.endsWith('activator') ? activators : workers;
}

function shuffled<T>(cards: readonly T[], random: Random): T[] {
  const deck = [...cards];
  for (let i = deck.length - 1; i > 0; i--) {
    const j = randomBelow(random, i + 1);
    [deck[i], deck[j]] = [deck[j]!, deck[i]!];
  }
  return deck;
}

/** Strikes once and, unless the fault says otherwise, waits until all works again. */
export async function strike(fleet: Fleet<SingleServer>, canary: Canary, fault: Fault): Promise<Struck> {
  let recoveryMs: number | undefined;
  const recover = async () => {
    if (!fault.overlap) recoveryMs = await canary.untilAllShardsWork();
  };
  switch (fault.kind) {
    case 'kill gateway':
      await fleet.gateways[fault.victim]!.untilReady();
      await fleet.gateways[fault.victim]!.kill();
      await recover();
      break;
    case 'kill worker':
      await killWorker(fleet.workers[fault.victim]!, fault, recover);
      break;
    case 'pause worker':
      await pauseWorker(fleet.workers[fault.victim]!, fault, recover);
      break;
    case 'kill activator':
      return { fault, recoveryMs: undefined, during: await killActivator(fleet, fault.victim) };
    case 'pause activator':
      await pauseActivator(fleet.activators[fault.victim]!, fault.awayMs);
      break;
    case 'receiver down':
    case 'receiver errors':
    case 'receiver hangs':
    case 'receiver closes':
      await fleet.receiver!.misbehave(fault.kind.slice('receiver '.length) as ReceiverFault, fault.awayMs);
      break;
    case 'kill nats-server':
      await aimAt(fleet.workers[fault.victim]!, fault.aim);
      await fleet.servers.kill();
      await delay(fault.awayMs);
      await fleet.servers.start();
      await recover();
      break;
  }
  return { fault, recoveryMs };
}

/** Kills it, and lets it kill itself once more at a step of its next life. */
async function killWorker(slot: Slot, fault: Fault, recover: () => Promise<void>): Promise<void> {
  await slot.untilReady();
  await aimAt(slot, fault.aim);
  await slot.kill(fault.crashAtNext);
  await recover();
  const crashed = await within(CRASH_AT_DEADLINE_MS, slot.crashed());
  if (!crashed) throw new Error(`${slot.name} did not come to its crash at ${fault.crashAtNext}`);
}

/** Waits for it to be busy, for a while, and tells whether the receiver had requests that were not answered. */
async function killActivator(fleet: Fleet, victim: number): Promise<string> {
  const slot = fleet.activators[victim]!;
  await slot.untilReady();
  const receiver = fleet.receiver!;
  const endMs = Date.now() + AIM_MS;
  while (receiver.open === 0 && Date.now() < endMs) await new Promise((resolve) => setImmediate(resolve));
  const during = receiver.open > 0 ? 'delivering' : 'idle';
  await slot.kill();
  return during;
}

async function pauseActivator(slot: Slot, forMs: number): Promise<void> {
  await slot.untilReady();
  slot.signal('SIGSTOP');
  await delay(forMs);
  slot.signal('SIGCONT');
}

/** Stops it past the moment when others take over, then lets it go on. */
async function pauseWorker(slot: Slot, fault: Fault, recover: () => Promise<void>): Promise<void> {
  await slot.untilReady();
  await aimAt(slot, fault.aim);
  slot.signal('SIGSTOP');
  const resumed = delay(fault.awayMs).then(() => slot.signal('SIGCONT'));
  await recover();
  await resumed;
}

/** Looks at the worker's step without rest, for a while: steps last milliseconds. */
async function aimAt(slot: Slot, phase: CommitPhase | undefined): Promise<void> {
  if (phase === undefined) return;
  const endMs = Date.now() + AIM_MS;
  while (Date.now() < endMs) {
    for (let look = 0; look < 50; look++) if (readPhase(slot.phaseFile) === phase) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function within(deadlineMs: number, event: Promise<unknown>): Promise<boolean> {
  const deadline = new AbortController();
  const late = new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), deadlineMs);
    deadline.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  const inTime = await Promise.race([event.then(() => true), late]);
  deadline.abort();
  return inTime;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
