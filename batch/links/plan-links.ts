// What the links that differ would do, by the profile actor over records as they are stored: nothing is written. Links are
// judged one after another, each as if those before it had been applied.

import { linkedKeysOf } from '../../actors/identity/keys.ts';
import { decodeRecord, type RecordState } from '../../actors/profile/record-codec.ts';
import { IdentitySimulation } from '../../actors/profile/simulate.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { LogEnvelope } from '../../shared/contract/event.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { sha256Base64Url } from '../../shared/kernel/hash.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import type { Sighting } from './differences.ts';
import { type Judged, judgeLink } from './judge-link.ts';

export type LinkMessage = Extract<LogEnvelope, { type: 'link' }>;

export interface PlannedLink extends Judged {
  readonly message: LinkMessage;
  readonly facts: readonly AuditFact[];
}

export interface PlanDeps {
  readonly store: Pick<RecordStore, 'read'>;
  readonly config: SegmentConfig;
  /** `<segment>@<version>` of the config. */
  readonly stamp: string;
  readonly by: string;
}

const ID_CHARS = 22;
const READ_AT_ONCE = 500;
/** Redirects that are followed beforehand; the rest are read one by one. */
const ROUNDS = 3;

export class LinkPlan {
  readonly #deps: PlanDeps;
  readonly #simulation: IdentitySimulation;

  /** `nowMs`: when they are judged. */
  constructor(deps: PlanDeps, nowMs: number) {
    this.#deps = deps;
    this.#simulation = new IdentitySimulation(deps.config, nowMs, (keys, fresh) => this.#load(keys, fresh));
  }

  /**
   * What each would do. What does something is done, for those after it; `alsoRefused`: what is refused too, as it leaves traces.
   * Throws STORE_UNAVAILABLE.
   */
  async judge(some: readonly Sighting[], alsoRefused = false): Promise<readonly PlannedLink[]> {
    await this.#foresee(some);
    const planned: PlannedLink[] = [];
    for (const sighting of some) {
      const message = messageOf(sighting, this.#deps);
      const { facts, accept } = await this.#simulation.tryLink(message);
      const judged = judgeLink(facts, sighting.atMs !== undefined);
      if (judged.isEffective || (alsoRefused && judged.outcome === 'refused')) accept();
      planned.push({ ...judged, message, facts });
    }
    return planned;
  }

  /** Reads what the links lead to in a few requests, instead of some for each. */
  async #foresee(some: readonly Sighting[]): Promise<void> {
    const { config } = this.#deps;
    let wanted = some.flatMap(({ keys }) =>
      linkedKeysOf(config, keys).usable.map(({ config: { name }, value }) => recordKeys.link(name, value)),
    );
    for (let round = 0; round < ROUNDS && wanted.length > 0; round++) {
      const found = await this.#load([...new Set(wanted)], false);
      this.#simulation.know(found);
      wanted = [...found.values()].flatMap((state) => {
        if (state?.kind === 'link' && state.profileId) return [recordKeys.profile(state.profileId)];
        return state?.kind === 'redirect' ? [recordKeys.profile(state.to)] : [];
      });
    }
  }

  async #load(keys: readonly string[], fresh: boolean): Promise<ReadonlyMap<string, RecordState | null>> {
    const states = new Map<string, RecordState | null>();
    for (let at = 0; at < keys.length; at += READ_AT_ONCE) {
      const some = keys.slice(at, at + READ_AT_ONCE);
      const found = await this.#deps.store.read(some, fresh ? 'leader' : 'replica');
      for (const [key, { value }] of found) states.set(key, value && light(decodeRecord(key, value)));
    }
    return states;
  }
}

/** Without what identity does not depend on, and most of the memory goes into. */
function light(state: RecordState): RecordState {
  return state.kind === 'profile' ? { ...state, attributes: {} } : state;
}

function messageOf({ canonical, keys, atMs }: Sighting, { stamp, by }: PlanDeps): LinkMessage {
  const id = `link-${sha256Base64Url(`${canonical}@${atMs ?? ''}`, ID_CHARS)}`;
  return { v: 1, type: 'link', id, keys, ...(atMs !== undefined && { atMs }), by, config: stamp };
}
