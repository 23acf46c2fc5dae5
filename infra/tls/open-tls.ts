// Whether a gateway listens for https, and with which certificate: one that is kept in the data folder.
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { systemClock } from '../../shared/kernel/clock.ts';
import type { RoleSettings } from '../../shared/settings.ts';
import { keptIdentity } from './self-signed.ts';
import { openTlsDoor, type TlsDoor } from './tls-door.ts';

/** Undefined when it is not asked for. Rejects when the port is taken or the folder cannot be written. */
export async function openTls(
  app: FastifyInstance,
  { host, tlsPort, dataDir }: Pick<RoleSettings, 'host' | 'tlsPort' | 'dataDir'>,
): Promise<TlsDoor | undefined> {
  if (tlsPort === undefined) return undefined;
  const identity = keptIdentity(join(dataDir, 'tls'), host, systemClock.nowMs());
  return openTlsDoor(app, identity, { host, port: tlsPort });
}
