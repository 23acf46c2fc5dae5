// A nats-server for tests: a container when an engine answers, else a local process in a folder of its own. Either can be
// killed and restarted with its data.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveNatsServer } from '../../infra/nats-server/resolve.ts';
import { type NatsServerProcess, startNatsServer } from '../../infra/nats-server/start.ts';
import { startContainer } from './nats-container.ts';

export interface TestServer {
  readonly url: string;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGTERM. */
  halt(): Promise<void>;
  /** Starts it again on the same port and data. */
  restart(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  signal(name: NodeJS.Signals): void;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** Starts a server of the test's own. */
export async function startTestServer(): Promise<TestServer> {
  return (await startContainer()) ?? (await startLocal());
}

async function startLocal(): Promise<TestServer> {
  const { path } = await resolveNatsServer();
  const dataDir = await mkdtemp(join(tmpdir(), 'stitchwork-test-'));
  let server: NatsServerProcess = await startNatsServer({ binary: path, dataDir });
  const { port, url } = server;
  return {
    url,
    kill: () => server.kill(),
    halt: () => server.stop(),
    async restart() {
      server = await startNatsServer({ binary: path, dataDir, port });
    },
    signal: (name) => void process.kill(server.pid, name),
    async stop() {
      await server.kill();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
