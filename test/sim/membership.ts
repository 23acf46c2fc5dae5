// Who is alive, in memory: heartbeats with a time to live, and probes that find a member alive, hung or gone.
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { MemberReport, Membership, ProbeAnswer } from '../../shared/ports/membership.ts';
import type { SimProcess, SimServer } from './process.ts';
import type { World } from './world.ts';

const REQUEST_TIMEOUT_MS = 800;
/** After this long without a sign of life the server closes the connection of a hung or unreachable process. */
const CONNECTION_DROPPED_MS = 4000;

interface Member {
  readonly process: SimProcess;
  readonly report: () => MemberReport;
  heartbeatAtMs: number;
}

export class SimMembers {
  readonly world: World;
  readonly server: SimServer;
  readonly ttlMs: number;
  readonly heartbeatMs: number;
  readonly members = new Map<string, Member>();

  constructor(server: SimServer, ttlMs = 2000, heartbeatMs = 500) {
    this.server = server;
    this.world = server.world;
    this.ttlMs = ttlMs;
    this.heartbeatMs = heartbeatMs;
    // The list is kept in the memory of the server.
    server.onDown(() => {
      for (const member of this.members.values()) member.heartbeatAtMs = Number.NEGATIVE_INFINITY;
    });
  }

  live(): string[] {
    const nowMs = this.world.nowMs;
    return [...this.members].filter(([, m]) => nowMs - m.heartbeatAtMs < this.ttlMs).map(([id]) => id);
  }

  /** Whether the server still holds the connection on which a member hears probes. */
  listens(id: string): boolean {
    const process = this.members.get(id)?.process;
    if (!process?.linked || process.state === 'crashed') return false;
    const away = process.state === 'paused' || !process.sends || !process.receives;
    return !away || this.world.nowMs - process.awaySinceMs < CONNECTION_DROPPED_MS;
  }
}

export function simMembership(members: SimMembers, process: SimProcess): Membership {
  const { world } = members;
  let own: { id: string; leave: AbortController } | undefined;
  return {
    async join(id, report) {
      const leave = new AbortController();
      own = { id, leave };
      members.members.set(id, { process, report, heartbeatAtMs: Number.NEGATIVE_INFINITY });
      const forget = process.onReconnect(() => void heartbeat(members, process, id));
      leave.signal.addEventListener('abort', forget);
      await heartbeat(members, process, id);
      void beat(members, process, id, leave.signal);
    },
    async leave() {
      const leaving = own;
      own = undefined;
      if (!leaving) return;
      leaving.leave.abort(new Error('left'));
      members.members.delete(leaving.id);
    },
    members: () =>
      process.call<readonly string[]>({
        label: 'members.list',
        timeoutMs: REQUEST_TIMEOUT_MS,
        onTimeout: () => new StitchworkError('STORE_UNAVAILABLE', 'simulated: no list of members'),
        serve: (reply) => {
          if (world.chance(world.faults.membershipFails)) return world.mark('members.list failed');
          reply(members.live());
        },
      }),
    probe: (id, timeoutMs) => probe(members, process, id, timeoutMs),
    onReconnect: (callback) => process.onReconnect(callback),
  };
}

async function beat(members: SimMembers, process: SimProcess, id: string, left: AbortSignal): Promise<void> {
  while (!left.aborted) {
    await process.clock.sleep(members.heartbeatMs, left).catch(() => {});
    if (!left.aborted) await heartbeat(members, process, id);
  }
}

async function heartbeat(members: SimMembers, process: SimProcess, id: string): Promise<void> {
  await process.call<boolean>({
    label: '',
    timeoutMs: REQUEST_TIMEOUT_MS,
    onTimeout: () => false,
    serve: (reply) => {
      const member = members.members.get(id);
      if (member) member.heartbeatAtMs = members.world.nowMs;
      reply(true);
    },
  });
}

function probe(members: SimMembers, asker: SimProcess, id: string, timeoutMs: number): Promise<ProbeAnswer> {
  const { world } = members;
  return asker.call<ProbeAnswer>({
    label: '',
    timeoutMs,
    onTimeout: () => {
      world.mark('members.silent');
      return { kind: 'silent' };
    },
    serve: (reply) => {
      if (world.chance(world.faults.membershipFails)) return;
      const member = members.members.get(id);
      if (!member || !members.listens(id)) return reply({ kind: 'gone' });
      const { process } = member;
      if (!process.receives) return;
      process.deliver(process.latencyMs(), '', () => {
        if (process.sends) reply({ kind: 'alive', report: member.report() });
      });
    },
  });
}
