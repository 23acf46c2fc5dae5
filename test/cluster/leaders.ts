// Who leads which stream, looked at all the time with the bare NATS client.
import { connect, type NatsConnection } from 'nats';

const LOOK_MS = 100;
const ANSWER_MS = 1000;

interface StreamInfo {
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly { readonly current: boolean; readonly lag?: number }[];
  };
}

export class Leaders {
  /** How often a stream was found under another leader than before. */
  changes = 0;
  readonly #nc: NatsConnection;
  readonly #streams: readonly string[];
  readonly #known = new Map<string, string>();
  #stopped = false;
  #loop: Promise<void> = Promise.resolve();

  static async watch(url: string, streams: readonly string[]): Promise<Leaders> {
    const nc = await connect({
      servers: url.split(','),
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      pingInterval: 1000,
      noAsyncTraces: true,
    });
    const leaders = new Leaders(nc, streams);
    leaders.#loop = leaders.#run();
    return leaders;
  }

  private constructor(nc: NatsConnection, streams: readonly string[]) {
    this.#nc = nc;
    this.#streams = streams;
  }

  /** The leader now; asks until there is one. */
  async of(stream: string): Promise<string> {
    for (;;) {
      const leader = (await this.#info(stream))?.cluster?.leader;
      if (leader) return leader;
      await pause(LOOK_MS);
    }
  }

  /** Resolves when every copy of every stream is up to date. */
  async untilCopiesCurrent(deadlineMs: number): Promise<void> {
    const endMs = performance.now() + deadlineMs;
    for (;;) {
      const infos = await Promise.all(this.#streams.map((stream) => this.#info(stream)));
      if (infos.every(isCurrent)) return;
      if (performance.now() > endMs)
        throw new Error(`copies lag: ${JSON.stringify(infos.map((i) => i?.cluster))}`);
      await pause(LOOK_MS);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    await this.#nc.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      for (const stream of this.#streams) {
        const leader = (await this.#info(stream))?.cluster?.leader;
        if (!leader) continue;
        const before = this.#known.get(stream);
        if (before !== undefined && before !== leader) this.changes++;
        this.#known.set(stream, leader);
      }
      await pause(LOOK_MS);
    }
  }

  async #info(stream: string): Promise<StreamInfo | undefined> {
    try {
      const answer = await this.#nc.request(`$JS.API.STREAM.INFO.${stream}`, '', { timeout: ANSWER_MS });
      return answer.json<StreamInfo>();
    } catch {
      // Nobody leads it, or the connection is being made again.
      return undefined;
    }
  }
}

function isCurrent(info: StreamInfo | undefined): boolean {
  const replicas = info?.cluster?.replicas ?? [];
  return replicas.length > 0 && replicas.every(({ current, lag }) => current && (lag ?? 0) === 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
