// Every kind of destination that there is, by its name in the config. Another kind: its config and schema in
// shared/contract/config, and a function here.
import type { DestinationConfig } from '../../shared/contract/config/destination-config.ts';
import { unreachable } from '../../shared/kernel/assert.ts';
import type { Destination, DestinationDeps } from './destination.ts';
import { openLog } from './log-line.ts';
import { openMail } from './mail.ts';
import { openSubject } from './subject.ts';
import { openWebhook } from './webhook.ts';

/** Throws DestinationProblem when it cannot work here. */
export function openDestination(config: DestinationConfig, deps: DestinationDeps): Destination {
  switch (config.type) {
    case 'webhook':
      return openWebhook(config, deps);
    case 'smtp':
      return openMail(config, deps);
    case 'nats':
      return openSubject(config, deps);
    case 'log':
      return openLog(config, deps);
    default:
      return unreachable(config);
  }
}
