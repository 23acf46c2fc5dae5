import { simPorts } from '../sim/ports.ts';
import { eventLogContract } from './event-log.contract.ts';

eventLogContract('in memory', async () => {
  const { log, appender, copies, close } = simPorts();
  return { log, appender, purge: (upTo) => copies.purgeLog(upTo), close };
});
