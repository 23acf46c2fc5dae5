// The in-memory ports for contract suites: virtual time follows real time, and nothing goes wrong unless asked.
import type { EventLogAppender, EventLogReader } from '../../shared/ports/event-log.ts';
import type { Membership } from '../../shared/ports/membership.ts';
import type { OutboxCopies } from '../../shared/ports/outbox-copies.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import { SimCopies, simOutboxCopies } from './copies.ts';
import { NO_FAULTS } from './faults.ts';
import { SimLog } from './log.ts';
import { simEventLogAppender, simEventLogReader } from './log-port.ts';
import { SimMembers, simMembership } from './membership.ts';
import { SimProcess, SimServer } from './process.ts';
import { SimStore } from './store.ts';
import { simRecordStore } from './store-port.ts';
import { World } from './world.ts';

export interface SimPorts {
  readonly world: World;
  readonly server: SimServer;
  readonly simLog: SimLog;
  readonly simStore: SimStore;
  readonly process: SimProcess;
  readonly store: RecordStore;
  readonly log: EventLogReader;
  readonly copies: OutboxCopies;
  /** An appender of a gateway of its own. */
  appender(): EventLogAppender;
  /** The membership of another process. */
  membership(): Membership & { readonly process: SimProcess };
  /** Stops the clock. */
  close(): Promise<void>;
}

export function simPorts(seed = 1): SimPorts {
  const world = new World(seed, Date.now());
  world.faults = { ...NO_FAULTS, latencyMaxMs: 1 };
  const server = new SimServer(world);
  const simLog = new SimLog(server);
  const simStore = new SimStore(server);
  const copies = new SimCopies(simStore, simLog);
  const members = new SimMembers(server, 1500, 300);
  const process = new SimProcess(server, 'client');
  const stop = new AbortController();
  const running = world.runInRealTime(stop.signal);
  let processes = 0;
  return {
    world,
    server,
    simLog,
    simStore,
    process,
    store: simRecordStore(simStore, process),
    log: simEventLogReader(simLog, process),
    copies: simOutboxCopies(copies, simLog, process),
    appender: () => simEventLogAppender(simLog, new SimProcess(server, `gateway${++processes}`)),
    membership() {
      const member = new SimProcess(server, `member${++processes}`);
      return Object.assign(simMembership(members, member), { process: member });
    },
    async close() {
      stop.abort();
      await running;
    },
  };
}
