// Decides a run of messages into a plan: loads what is missing, many keys a request, then applies the actor's decisions
// one after another over the plan's own state. Commits nothing.
import type { Actor, Decision } from '../../shared/contract/actor.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { errorText, isStitchworkError } from '../../shared/kernel/errors.ts';
import type { Random } from '../../shared/kernel/random.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import type { WorkerTelemetry } from '../../shared/ports/worker-telemetry.ts';
import { oversizedMessage, type Plan } from './plan.ts';
import { noteProof, proofKeys } from './proof.ts';
import { loadResidents, type Residents } from './residents.ts';
import type { Rejection, Work } from './sealed-plan.ts';
import type { OwnedShard } from './shard.ts';
import { whileUnavailable } from './unavailable.ts';

/** Longest stretch of deciding before the process looks at what else has arrived, such as a probe of another worker. */
const TURN_MAX_MS = 10;
/** Messages decided between two looks at the clock. */
const CLOCK_STRIDE = 16;

export interface DecideDeps {
  readonly store: RecordStore;
  readonly residents: Residents;
  readonly shards: ReadonlyMap<number, OwnedShard>;
  readonly workerId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: WorkerTelemetry;
  readonly backoffMaxMs: number;
}

/** Rounds of loading for one message before it is given up: an actor that never has enough is a bug. */
const LOAD_ROUNDS_MAX = 24;
/** Rounds of reading contradicting records from the leader before the message is set aside. */
const FRESH_ROUNDS_MAX = 6;
/** Messages whose shards are proven to be owned by the request that loads what they need. */
const PROOF_AHEAD = 100;
/** Messages looked at ahead to gather what they need into the same request. */
const LOOK_AHEAD_MAX = 1000;

/** How far the deciding of a plan got: every message is in it, it takes no more, or the next one has to wait. */
export type Progress = 'all' | 'full' | { readonly wait: string };

type Step = 'added' | 'full' | Exclude<Decision, { kind: 'apply' }>;

/**
 * Adds as many of `works` to the plan, from the front, as the batch holds. `reject` names messages that an earlier
 * attempt found impossible to store, with the reason for their dead letter.
 */
export async function extendPlan(
  deps: DecideDeps,
  plan: Plan,
  works: readonly Work[],
  reject: ReadonlyMap<Work, Rejection>,
  signal: AbortSignal,
): Promise<Progress> {
  let turnMs = deps.clock.elapsedMs();
  for (let index = 0; index < works.length; index++) {
    if (index % CLOCK_STRIDE === 0 && deps.clock.elapsedMs() - turnMs > TURN_MAX_MS) {
      await deps.clock.sleep(0, signal);
      turnMs = deps.clock.elapsedMs();
    }
    const work = works[index]!;
    let step = decideOne(plan, work, reject.get(work));
    for (let round = 0, fresh = 0; typeof step === 'object'; round++) {
      if (step.kind === 'wait') return { wait: step.reason };
      if (round === LOAD_ROUNDS_MAX || (step.fresh && fresh++ === FRESH_ROUNDS_MAX)) {
        const message = 'the records that the message needs contradict one another';
        step = setAside(plan, work, { code: 'POISON_MESSAGE', message });
        break;
      }
      // Records that this plan already relies on must not change under it: what stands before goes first.
      if (step.fresh && (plan.works.length > 0 || plan.isAhead)) return 'full';
      const keys = step.fresh ? step.keys : gatherNeeds(plan, works, index, step.keys);
      if (step.fresh) await load(deps, keys, 'leader', [], signal);
      else
        await load(deps, keys, 'replica', proofKeys(works.slice(index, index + PROOF_AHEAD), keys), signal);
      step = decideOne(plan, work, undefined);
    }
    if (step === 'full') return 'full';
  }
  return 'all';
}

function decideOne(plan: Plan, work: Work, known: Rejection | undefined): Step {
  plan.beginMessage();
  if (known) return setAside(plan, work, known);
  const decision = tryDecide(plan, work);
  if ('rejection' in decision) return setAside(plan, work, decision.rejection);
  if (decision.kind !== 'apply') return decision;
  const oversized = oversizedMessage(decision);
  if (oversized) return setAside(plan, work, { code: 'DECISION_TOO_LARGE', message: oversized });
  const result = plan.add(work, decision);
  return typeof result === 'string' ? result : setAside(plan, work, result);
}

type Tried<T> = T | { readonly rejection: Rejection };

function tryDecide(plan: Plan, work: Work): Tried<Decision> {
  return orRejection(() => plan.actor.decide(work.message, parsedBy(plan.actor, work), plan.view));
}

function orRejection<T>(attempt: () => T): Tried<T> {
  try {
    return attempt();
  } catch (error) {
    const code = isStitchworkError(error) ? error.code : 'POISON_MESSAGE';
    return { rejection: { code, message: errorText(error) } };
  }
}

function parsedBy(actor: Actor, work: Work): unknown {
  if (work.parsedBy !== actor) {
    work.parsed = actor.parse(work.message);
    work.parsedBy = actor;
  }
  return work.parsed;
}

/** The needs of the message at `index` and of those behind it, so that a cold batch loads in a few requests. */
function gatherNeeds(plan: Plan, works: readonly Work[], index: number, own: readonly string[]): string[] {
  const keys = new Set(own);
  const end = Math.min(works.length, index + 1 + LOOK_AHEAD_MAX);
  for (let ahead = index + 1; ahead < end; ahead++) {
    const work = works[ahead]!;
    if (work.readyIn === plan.mark) continue;
    const foreseen = orRejection(() => foresee(plan, work));
    // A message that cannot be read or decided is set aside when its turn comes.
    if ('rejection' in foreseen || foreseen.length === 0) work.readyIn = plan.mark;
    else for (const key of foreseen) keys.add(key);
  }
  return [...keys];
}

function foresee(plan: Plan, work: Work): readonly string[] {
  const { actor, view } = plan;
  const parsed = parsedBy(actor, work);
  if (actor.foresee) return actor.foresee(parsed, view);
  const decision = actor.decide(work.message, parsed, view);
  return decision.kind === 'need' && !decision.fresh ? decision.keys : [];
}

async function load(
  deps: DecideDeps,
  keys: readonly string[],
  from: 'replica' | 'leader',
  proof: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { residents, store } = deps;
  const loaded = await whileUnavailable(
    deps,
    () => loadResidents(residents, store, keys, from, proof),
    signal,
  );
  if (proof.length > 0) noteProof(deps.shards, deps.workerId, loaded);
  deps.telemetry.loaded(keys.length);
}

function setAside(plan: Plan, work: Work, rejection: Rejection): 'added' | 'full' {
  const letter = plan.actor.deadLetter(work.message, rejection);
  return plan.addDeadLetter(work, letter, rejection) ? 'added' : 'full';
}
