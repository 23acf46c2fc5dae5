import { simAuditLog } from '../sim/audit-log.ts';
import { SimCopies, simOutboxCopies } from '../sim/copies.ts';
import { NO_FAULTS } from '../sim/faults.ts';
import { SimLog } from '../sim/log.ts';
import { SimProcess, SimServer } from '../sim/process.ts';
import { SimStore } from '../sim/store.ts';
import { simRecordStore } from '../sim/store-port.ts';
import { World } from '../sim/world.ts';
import { auditLogContract } from './audit-log.contract.ts';

auditLogContract('in memory', async () => {
  const world = new World(1, Date.now());
  world.faults = { ...NO_FAULTS, latencyMaxMs: 1 };
  const server = new SimServer(world);
  const log = new SimLog(server);
  const store = new SimStore(server);
  const copies = new SimCopies(store, log);
  const client = new SimProcess(server, 'client');
  const stop = new AbortController();
  const running = world.runInRealTime(stop.signal);
  return {
    store: simRecordStore(store, client),
    copies: simOutboxCopies(copies, log, client),
    audit: simAuditLog(copies, client),
    expire: undefined,
    async close() {
      stop.abort();
      await running;
    },
  };
});
