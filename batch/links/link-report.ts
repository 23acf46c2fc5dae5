// The report of a run over links: counts of what came or would come of them, reasons of refusals, and some of each kind.
import type { Compared } from './differences.ts';
import { LINK_OUTCOMES, type LinkOutcome } from './judge-link.ts';
import type { PlannedLink } from './plan-links.ts';

export interface LinkSample {
  readonly id: string;
  readonly outcome: LinkOutcome;
  readonly keys: readonly string[];
  readonly at: string | null;
  /** What speaks against it, in words. */
  readonly detail: readonly string[];
}

export interface LinkReport extends Compared {
  /** Sightings that were judged. */
  readonly judged: number;
  /** Differing sets may be more than a dry run judges. */
  readonly isWhole: boolean;
  readonly outcomes: Readonly<Record<LinkOutcome, number>>;
  readonly refusals: Readonly<Record<string, number>>;
  /** Messages that were appended to the log. */
  readonly sent: number;
  readonly samples: readonly LinkSample[];
}

const SAMPLES_OF_EACH = 5;

export class LinkReporter {
  readonly #compared: Compared;
  readonly #outcomes = Object.fromEntries(LINK_OUTCOMES.map((outcome) => [outcome, 0])) as Record<
    LinkOutcome,
    number
  >;
  readonly #refusals: Record<string, number> = {};
  readonly #samples: LinkSample[] = [];
  #judged = 0;
  #sent = 0;
  #isWhole = true;

  constructor(compared: Compared) {
    this.#compared = compared;
  }

  judged(planned: readonly PlannedLink[]): void {
    this.#judged += planned.length;
    for (const link of planned) {
      const { outcome, refusals } = link;
      this.#outcomes[outcome] += 1;
      for (const reason of refusals) this.#refusals[reason] = (this.#refusals[reason] ?? 0) + 1;
      if (outcome !== 'nothing' && this.#outcomes[outcome] <= SAMPLES_OF_EACH)
        this.#samples.push(sampleOf(link));
    }
  }

  sent(count: number): void {
    this.#sent += count;
  }

  cutShort(): void {
    this.#isWhole = false;
  }

  report(): LinkReport {
    return {
      ...this.#compared,
      judged: this.#judged,
      isWhole: this.#isWhole,
      outcomes: { ...this.#outcomes },
      refusals: { ...this.#refusals },
      sent: this.#sent,
      samples: [...this.#samples],
    };
  }
}

function sampleOf({ message, outcome, facts }: PlannedLink): LinkSample {
  const { id, keys, atMs } = message;
  return {
    id,
    outcome,
    keys: keys.map(({ name, value }) => `${name}:${value}`),
    at: atMs === undefined ? null : new Date(atMs).toISOString(),
    detail: facts.flatMap(({ detail }) => detail ?? []),
  };
}
