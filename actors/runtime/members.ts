// What this worker knows of the others: who has a heartbeat, who answers, which shards they say they own. Liveness
// only; a wrong answer costs a needless claim or a delay, never a lost or doubled message.
import type { Clock } from '../../shared/kernel/clock.ts';
import type { MemberReport, Membership } from '../../shared/ports/membership.ts';

interface Peer {
  report: MemberReport | undefined;
  status: 'unknown' | 'alive' | 'gone' | 'silent';
  /** Probes in a row that were not answered. */
  missed: number;
  probing: boolean;
}

/** A busy process may miss one probe: it counts as hung after this many in a row. */
const MISSED_MAX = 2;

export interface MembersOptions {
  readonly workerId: string;
  readonly membersIntervalMs: number;
  readonly probeTimeoutMs: number;
}

export class Members {
  readonly #membership: Membership;
  readonly #clock: Clock;
  readonly #options: MembersOptions;
  readonly #peers = new Map<string, Peer>();
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reachable = false;

  constructor(membership: Membership, clock: Clock, options: MembersOptions) {
    this.#membership = membership;
    this.#clock = clock;
    this.#options = options;
  }

  /** False while the list of members cannot be read: then nothing known of the others counts. */
  get reachable(): boolean {
    return this.#reachable;
  }

  /** Reads the list when it is due and probes everybody who is not being probed. Resolves when the list is known. */
  async refresh(onDeath: () => void): Promise<void> {
    const nowMs = this.#clock.elapsedMs();
    if (nowMs - this.#readAtMs >= this.#options.membersIntervalMs || !this.#reachable) {
      await this.#readList(nowMs);
      if (!this.#reachable) return;
    }
    for (const [id, peer] of this.#peers) if (!peer.probing) void this.#probe(id, peer, onDeath);
  }

  /** Probes one member now. */
  async ask(id: string): Promise<MemberReport | undefined> {
    const answer = await this.#membership.probe(id, this.#options.probeTimeoutMs);
    return answer.kind === 'alive' ? answer.report : undefined;
  }

  /** Ids that count as alive, own id included. A member that was never asked counts until it has been. */
  live(): ReadonlySet<string> {
    const live = new Set([this.#options.workerId]);
    for (const [id, peer] of this.#peers)
      if (peer.status === 'alive' || peer.status === 'unknown') live.add(id);
    return live;
  }

  /** True once every member of the list has been asked. */
  get settled(): boolean {
    return this.#reachable && [...this.#peers.values()].every((peer) => peer.status !== 'unknown');
  }

  /** Listed, and it did not answer its last probe: asking again would only wait. */
  isHung(id: string): boolean {
    return this.#peers.get(id)?.status === 'silent';
  }

  /** Own shards that another live member says it owns too: one of the two has lost it and does not know. */
  contested(own: Iterable<number>): readonly number[] {
    return [...own].filter((shard) => this.ownerOf(shard) !== undefined);
  }

  /** Which live member says that it owns (or has halted) the shard. */
  ownerOf(shard: number): string | undefined {
    for (const [id, peer] of this.#peers) {
      if (peer.status === 'alive' && peer.report && holds(peer.report, shard)) return id;
    }
    return undefined;
  }

  async #readList(nowMs: number): Promise<void> {
    try {
      const ids = new Set(await this.#membership.members());
      ids.delete(this.#options.workerId);
      for (const id of this.#peers.keys()) if (!ids.has(id)) this.#peers.delete(id);
      for (const id of ids) {
        if (!this.#peers.has(id))
          this.#peers.set(id, { report: undefined, status: 'unknown', missed: 0, probing: false });
      }
      this.#readAtMs = nowMs;
      this.#reachable = true;
    } catch {
      // The server cannot be reached: what is known of the others stays as it is, and the owner table does nothing.
      this.#reachable = false;
    }
  }

  async #probe(id: string, peer: Peer, onDeath: () => void): Promise<void> {
    peer.probing = true;
    try {
      const answer = await this.#membership.probe(id, this.#options.probeTimeoutMs);
      const before = peer.status;
      peer.missed = answer.kind === 'silent' ? peer.missed + 1 : 0;
      if (answer.kind === 'silent' && peer.missed < MISSED_MAX) return;
      peer.status = answer.kind;
      if (answer.kind === 'alive') peer.report = answer.report;
      if (answer.kind !== 'alive' && before !== answer.kind) onDeath();
    } catch {
      // The probe could not even be sent: nothing was learnt about the member.
    } finally {
      peer.probing = false;
    }
  }
}

/** Whether the member says that the shard is its own, running or halted. */
export function holds(report: MemberReport, shard: number): boolean {
  return report.shards.includes(shard) || report.halted.some((halt) => halt.shard === shard);
}
