import { simPorts } from '../sim/ports.ts';
import { recordStoreContract } from './record-store.contract.ts';

recordStoreContract('in memory', async () => {
  const { store, log, world, close } = simPorts();
  return { store, log, nowMs: () => world.nowMs, close };
});
