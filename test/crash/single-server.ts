// One nats-server that can be killed and started again with its data on the same port.
import { resolveNatsServer } from '../../infra/nats-server/resolve.ts';
import { freePort, type NatsServerProcess, startNatsServer } from '../../infra/nats-server/start.ts';
import type { Servers } from './fleet.ts';

export class SingleServer implements Servers {
  url = '';
  readonly #dataDir: string;
  #binary = '';
  #port = 0;
  #process: NatsServerProcess | undefined;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  async start(): Promise<void> {
    this.#binary ||= (await resolveNatsServer()).path;
    this.#port ||= await freePort('127.0.0.1');
    this.#process = await startNatsServer({
      binary: this.#binary,
      dataDir: this.#dataDir,
      port: this.#port,
    });
    this.url = this.#process.url;
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  destroy(): Promise<void> {
    return this.kill();
  }
}
