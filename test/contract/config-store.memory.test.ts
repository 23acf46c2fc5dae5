import { memoryConfigStore } from '../support/memory-config-store.ts';
import { configStoreContract } from './config-store.contract.ts';

configStoreContract('in memory', async () => {
  const store = memoryConfigStore();
  return { store, other: store, close: async () => {} };
});
