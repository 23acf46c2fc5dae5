// A nats-server in a container, where an engine answers: the same version, configuration and tests as the local process.
import { existsSync } from 'node:fs';
import { PINNED_VERSION } from '../../infra/nats-server/resolve.ts';
import { freePort } from '../../infra/nats-server/start.ts';
import { packagePath } from '../../infra/package-root.ts';
import type { TestServer } from './nats.ts';

const PORT = 4222;

/** Undefined when no container engine answers, or it cannot get the image: then a local process does. */
export async function startContainer(): Promise<TestServer | undefined> {
  // The library takes seconds to load and to look for an engine: only where there may be one.
  if (!process.env.DOCKER_HOST && !existsSync('/var/run/docker.sock')) return undefined;
  try {
    return await start();
  } catch (error) {
    console.warn(`no container engine to use, a local nats-server instead: ${String(error)}`);
    return undefined;
  }
}

async function start(): Promise<TestServer> {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers');
  // The port must be the same after a restart, so it is chosen here.
  const host = await freePort('127.0.0.1');
  const container = await new GenericContainer(`nats:${PINNED_VERSION}-alpine`)
    .withCopyFilesToContainer([{ source: packagePath('nats.conf'), target: '/etc/stitchwork/nats.conf' }])
    .withCommand(['-c', '/etc/stitchwork/nats.conf', '-p', String(PORT), '-sd', '/data'])
    .withExposedPorts({ container: PORT, host })
    .withWaitStrategy(Wait.forLogMessage('Server is ready'))
    .start();
  const client = await getContainerRuntimeClient();
  const raw = client.container.getById(container.getId());
  return {
    url: `nats://${container.getHost()}:${host}`,
    kill: async () => void (await raw.kill({ signal: 'SIGKILL' })),
    halt: async () => void (await raw.stop()),
    restart: async () => void (await raw.start()),
    signal: (name) => void raw.kill({ signal: name }),
    stop: async () => void (await container.stop()),
  };
}
