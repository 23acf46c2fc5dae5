import { simPorts } from '../sim/ports.ts';
import { membershipContract } from './membership.contract.ts';

membershipContract('in memory', async () => {
  const ports = simPorts();
  return {
    async member() {
      const membership = ports.membership();
      return {
        membership,
        crash: async () => membership.process.crash(),
        hang: async () => membership.process.pause(),
      };
    },
    close: () => ports.close(),
  };
});
