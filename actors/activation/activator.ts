// Carries the activations of one parent segment to its destinations: one lane for each that the config in force has. A
// changed destination gets a new lane when the old one has ended; one that cannot work here is held, and told.
import type { DestinationConfig } from '../../shared/contract/config/destination-config.ts';
import { errorText } from '../../shared/kernel/errors.ts';
import type { Destination } from './destination.ts';
import { Lane, type LaneDeps } from './lane.ts';

export interface ActivatorDeps extends LaneDeps {
  /** Of the config in force. */
  readonly destinations: () => readonly DestinationConfig[];
  /** Throws DestinationProblem. */
  readonly open: (config: DestinationConfig) => Destination;
}

export class Activator {
  readonly #deps: ActivatorDeps;
  readonly #lanes = new Map<string, Lane>();
  #stopped = false;
  /** Changes of lanes, one after another. */
  #changes: Promise<void> = Promise.resolve();

  constructor(deps: ActivatorDeps) {
    this.#deps = deps;
  }

  /** Brings the lanes in line with the config in force; called at the start and with each newer one. */
  follow(): void {
    this.#changes = this.#changes.then(() => this.#apply());
  }

  /** Names of the destinations that are delivered to. */
  get running(): readonly string[] {
    return [...this.#lanes.keys()];
  }

  /** Takes no more, and ends what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#changes;
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()));
    this.#lanes.clear();
  }

  async #apply(): Promise<void> {
    if (this.#stopped) return;
    const wanted = new Map(this.#deps.destinations().map((config) => [config.name, config]));
    const stale = [...this.#lanes.values()].filter(({ config }) => !isSame(config, wanted.get(config.name)));
    for (const { config } of stale) this.#lanes.delete(config.name);
    const starting = [...wanted.values()].filter(({ name }) => !this.#lanes.has(name));
    const ending = new Map(stale.map((lane) => [lane.config.name, lane.stop()]));
    await Promise.all(
      starting.map(async (config) => {
        // Others need not wait for the one that ends.
        await ending.get(config.name);
        if (!this.#stopped) this.#start(config);
      }),
    );
    await Promise.all(ending.values());
  }

  #start(config: DestinationConfig): void {
    const { open, telemetry } = this.#deps;
    try {
      const lane = new Lane(config, open(config), this.#deps);
      lane.start();
      this.#lanes.set(config.name, lane);
      telemetry.released(config.name);
    } catch (error) {
      telemetry.held(config.name, errorText(error));
    }
  }
}

function isSame(a: DestinationConfig, b: DestinationConfig | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
