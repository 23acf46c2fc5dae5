// Decides a run of messages into one plan: loads what is missing, many keys a request, then applies the actor's
// decisions one after another over the plan's own state. Commits nothing.
import type { Actor, Decision } from '../../shared/contract/actor.ts';
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { errorText, isStitchworkError } from '../../shared/kernel/errors.ts';
import type { Random } from '../../shared/kernel/random.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import type { WorkerTelemetry } from '../../shared/ports/worker-telemetry.ts';
import { oversizedMessage, Plan, type Rejection, type Work } from './plan.ts';
import { loadResidents, type Residents } from './residents.ts';

/** Longest stretch of deciding before the process looks at what else has arrived, such as a probe of another worker. */
const TURN_MAX_MS = 10;

export interface DecideDeps {
  readonly store: RecordStore;
  readonly residents: Residents;
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: WorkerTelemetry;
}

/** Rounds of loading for one message before it is given up: an actor that never has enough is a bug. */
const LOAD_ROUNDS_MAX = 24;
/** Rounds of reading contradicting records from the leader before the message is set aside. */
const FRESH_ROUNDS_MAX = 6;
/** Messages looked at ahead to gather what they need into the same request. */
const LOOK_AHEAD_MAX = 1000;

export interface Decided {
  readonly plan: Plan;
  /** Set when the message after the plan's last one cannot be decided yet. */
  readonly waitingFor: string | undefined;
}

/** What happened to one message. */
type Step = 'added' | 'full' | { readonly wait: string };

/**
 * Plans as many of `works`, from the front, as one batch holds (at least one, unless the first has to wait). `reject`
 * names messages that an earlier attempt found impossible to store, with the reason for their dead letter.
 */
export async function decideBatch(
  deps: DecideDeps,
  actor: Actor,
  works: readonly Work[],
  reject: ReadonlyMap<Work, Rejection>,
  signal: AbortSignal,
): Promise<Decided> {
  const plan = new Plan(deps.residents);
  const ready = new Set<Work>();
  let turnMs = deps.clock.elapsedMs();
  for (let index = 0; index < works.length; index++) {
    if (deps.clock.elapsedMs() - turnMs > TURN_MAX_MS) {
      await deps.clock.sleep(0, signal);
      turnMs = deps.clock.elapsedMs();
    }
    const step = await decideOne(deps, actor, plan, works, index, ready, reject, signal);
    if (step === 'full') break;
    if (typeof step === 'object') return { plan, waitingFor: step.wait };
  }
  return { plan, waitingFor: undefined };
}

async function decideOne(
  deps: DecideDeps,
  actor: Actor,
  plan: Plan,
  works: readonly Work[],
  index: number,
  ready: Set<Work>,
  reject: ReadonlyMap<Work, Rejection>,
  signal: AbortSignal,
): Promise<Step> {
  const work = works[index]!;
  plan.beginMessage();
  const known = reject.get(work);
  if (known) return setAside(actor, plan, work, known);
  let freshRounds = 0;
  for (let round = 0; round < LOAD_ROUNDS_MAX; round++) {
    plan.beginMessage();
    const decision = tryDecide(actor, work, plan);
    if ('rejection' in decision) return setAside(actor, plan, work, decision.rejection);
    if (decision.kind === 'wait') return { wait: decision.reason };
    if (decision.kind === 'apply') {
      const oversized = oversizedMessage(decision);
      if (oversized) return setAside(actor, plan, work, { code: 'DECISION_TOO_LARGE', message: oversized });
      const result = plan.add(work, decision);
      return typeof result === 'string' ? result : setAside(actor, plan, work, result);
    }
    if (decision.fresh) {
      // Records that this plan already relies on must not change under it: what stands before goes first.
      if (plan.works.length > 0) return 'full';
      if (++freshRounds > FRESH_ROUNDS_MAX) break;
      await load(deps, actor, decision.keys, 'leader', signal);
    } else {
      const keys = gatherNeeds(actor, plan, works, index, decision.keys, ready);
      await load(deps, actor, keys, 'replica', signal);
    }
  }
  const message = 'the records that the message needs contradict one another';
  return setAside(actor, plan, work, { code: 'POISON_MESSAGE', message });
}

function tryDecide(actor: Actor, work: Work, plan: Plan): Decision | { readonly rejection: Rejection } {
  try {
    if (work.parsedBy !== actor) {
      work.parsed = actor.parse(work.message);
      work.parsedBy = actor;
    }
    return actor.decide(work.message, work.parsed, plan.view);
  } catch (error) {
    const code = isStitchworkError(error) ? error.code : 'POISON_MESSAGE';
    return { rejection: { code, message: errorText(error) } };
  }
}

/** The needs of the message at `index` and of those behind it, so that a cold batch loads in a few requests. */
function gatherNeeds(
  actor: Actor,
  plan: Plan,
  works: readonly Work[],
  index: number,
  own: readonly string[],
  ready: Set<Work>,
): string[] {
  const keys = new Set(own);
  for (let ahead = index + 1; ahead < works.length && ahead <= index + LOOK_AHEAD_MAX; ahead++) {
    const work = works[ahead]!;
    if (ready.has(work)) continue;
    const decision = tryDecide(actor, work, plan);
    if ('rejection' in decision || decision.kind !== 'need') ready.add(work);
    else if (!decision.fresh) for (const key of decision.keys) keys.add(key);
  }
  return [...keys];
}

async function load(
  deps: DecideDeps,
  actor: Actor,
  keys: readonly string[],
  from: 'replica' | 'leader',
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await loadResidents(deps.residents, deps.store, actor, keys, from);
      deps.telemetry.loaded(keys.length);
      return;
    } catch (error) {
      if (!isStitchworkError(error, 'STORE_UNAVAILABLE')) throw error;
      await deps.clock.sleep(10 + backoffMs(attempt, 20, 1000, deps.random), signal);
    }
  }
}

function setAside(actor: Actor, plan: Plan, work: Work, rejection: Rejection): Step {
  const letter = actor.deadLetter(work.message, rejection);
  return plan.addDeadLetter(work, letter, rejection) ? 'added' : 'full';
}
