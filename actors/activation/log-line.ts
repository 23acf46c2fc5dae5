// Activations as lines of the process's own log: for trying out.
import type { LogConfig } from '../../shared/contract/config/destination-config.ts';
import type { Destination, DestinationDeps } from './destination.ts';

export function openLog({ name }: LogConfig, { writeLog }: DestinationDeps): Destination {
  return {
    async deliver({ activation }) {
      writeLog(name, activation);
      return { kind: 'delivered' };
    },
    close() {},
  };
}
