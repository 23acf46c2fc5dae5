// A simulated process: its clock, its connection to the server, and how it can be paused (SIGSTOP), cut off or crashed.
// Everything that reaches it comes through `deliver`; a crashed process is never woken again.
import type { Clock } from '../../shared/kernel/clock.ts';
import { EPOCH_MS, type World } from './world.ts';

export interface Rpc<T> {
  readonly label: string;
  /** After this long without a reply the call ends with `onTimeout`. */
  readonly timeoutMs: number;
  /** What the call resolves with, or the error that it rejects with, when no reply came. */
  readonly onTimeout: () => T | Error;
  /** Runs at the server when the request arrives; may reply later or never. */
  readonly serve: (reply: (value: T | Error) => void) => void;
}

const RECONNECT_MAX_MS = 400;

/** The one server that store, log and membership live on. */
export class SimServer {
  readonly world: World;
  up = true;
  /** Grows with each restart: what was in flight before belongs to an older one and is lost. */
  incarnation = 1;
  readonly #onDown: (() => void)[] = [];
  readonly #onUp: (() => void)[] = [];

  constructor(world: World) {
    this.world = world;
  }

  onDown(run: () => void): void {
    this.#onDown.push(run);
  }

  onUp(run: () => void): void {
    this.#onUp.push(run);
  }

  /** Kills the server; it serves again after `downMs`. */
  restart(downMs: number): void {
    if (!this.up) return;
    this.world.mark('server.restart');
    this.world.trace(`server killed for ${downMs}`);
    this.up = false;
    this.incarnation++;
    for (const run of this.#onDown) run();
    this.world.after(downMs, 'server up', () => {
      this.up = true;
      for (const run of this.#onUp) run();
    });
  }
}

export class SimProcess {
  readonly world: World;
  readonly server: SimServer;
  readonly name: string;
  state: 'running' | 'paused' | 'crashed' = 'running';
  /** Whether requests of this process reach the server, and whether what the server sends reaches the process. */
  sends = true;
  receives = true;
  /** Whether its connection is made: a restart of the server breaks it, and each process comes back when it does. */
  linked = true;
  /** How far its clock is off; jumps in either direction. */
  skewMs = 0;
  /** When it was paused or cut off last. */
  awaySinceMs = 0;
  readonly #held: (() => void)[] = [];
  readonly #onReconnect = new Set<() => void>();

  constructor(server: SimServer, name: string) {
    this.world = server.world;
    this.server = server;
    this.name = name;
    server.onDown(() => {
      this.linked = false;
    });
    server.onUp(() => this.deliver(this.world.between(1, RECONNECT_MAX_MS), '', () => this.#link()));
  }

  /** Runs `run` inside this process after a delay; later if it is paused then, never if it has crashed. */
  deliver(delayMs: number, label: string, run: () => void): void {
    this.world.after(delayMs, '', () => this.#arrive(label, run));
  }

  #arrive(label: string, run: () => void): void {
    if (this.state === 'crashed') return;
    if (this.state === 'paused') {
      this.#held.push(() => this.#arrive(label, run));
      return;
    }
    if (label !== '') this.world.trace(`${this.name} ${label}`);
    run();
  }

  crash(): void {
    if (this.state === 'crashed') return;
    this.world.trace(`${this.name} crashed`);
    this.world.mark('process.crash');
    this.state = 'crashed';
    this.#held.length = 0;
  }

  pause(): void {
    if (this.state !== 'running') return;
    this.world.trace(`${this.name} paused`);
    this.state = 'paused';
    this.awaySinceMs = this.world.nowMs;
  }

  resume(): void {
    if (this.state !== 'paused') return;
    this.world.trace(`${this.name} resumed`);
    this.state = 'running';
    for (const run of this.#held.splice(0)) this.world.after(0, '', run);
  }

  /** Cuts the connection, in one direction or both. */
  cutOff(sends: boolean, receives: boolean): void {
    this.world.trace(`${this.name} cut off: sends ${sends}, receives ${receives}`);
    this.world.mark('process.partition');
    this.sends = sends;
    this.receives = receives;
    this.awaySinceMs = this.world.nowMs;
  }

  heal(): void {
    if (this.sends && this.receives) return;
    this.world.trace(`${this.name} reachable again`);
    this.sends = true;
    this.receives = true;
    this.reconnected();
  }

  get reachesServer(): boolean {
    return this.sends && this.linked && this.server.up;
  }

  get connected(): boolean {
    return this.state !== 'crashed' && this.reachesServer && this.receives;
  }

  onReconnect(callback: () => void): () => void {
    this.#onReconnect.add(callback);
    return () => this.#onReconnect.delete(callback);
  }

  #link(): void {
    if (!this.server.up) return;
    this.linked = true;
    this.reconnected();
  }

  reconnected(): void {
    for (const callback of this.#onReconnect) this.deliver(this.latencyMs(), 'reconnected', callback);
  }

  latencyMs(): number {
    return this.world.between(0, this.world.faults.latencyMaxMs);
  }

  /** One request over the connection. A crashed process sends nothing and hears nothing. */
  call<T>(rpc: Rpc<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.state === 'crashed') return;
      let settled = false;
      const settle = (value: T | Error) => {
        if (settled) return;
        settled = true;
        if (value instanceof Error) reject(value);
        else resolve(value);
      };
      const { incarnation } = this.server;
      const reply = (value: T | Error) => {
        const replied = this.server.incarnation;
        if (replied !== incarnation) return;
        this.deliver(this.latencyMs(), '', () => {
          if (this.receives && this.server.incarnation === replied) settle(value);
        });
      };
      if (this.reachesServer) {
        this.world.after(
          this.latencyMs(),
          '',
          () => {
            if (this.server.incarnation !== incarnation) return;
            if (rpc.label !== '') this.world.trace(`${this.name} -> ${rpc.label}`);
            rpc.serve(reply);
          },
          false,
        );
      }
      this.deliver(rpc.timeoutMs, '', () => {
        if (!settled) settle(rpc.onTimeout());
      });
    });
  }

  readonly clock: Clock = {
    nowMs: () => this.world.nowMs + this.skewMs,
    elapsedMs: () => this.world.nowMs - EPOCH_MS,
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        if (this.state === 'crashed') return;
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = () => reject(signal?.reason);
        signal?.addEventListener('abort', onAbort, { once: true });
        this.deliver(delayMs, '', () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        });
      }),
  };
}
