// `${NAME}` in the texts of a destination: replaced by the environment of the process that delivers, when it is opened. The
// values are remembered so that they are taken out of everything that is told.
import { DestinationProblem } from './destination.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const REFERENCE = /\$\{([A-Z_][A-Z0-9_]*)\}/g;
/** Shorter values stand in too many texts by chance. */
const REDACTED_CHARS_MIN = 4;

export class Secrets {
  readonly #environment: Environment;
  readonly #values = new Set<string>();

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** The text with the values. Throws DestinationProblem that names what is not set. */
  fill(text: string): string {
    const missing = [...text.matchAll(REFERENCE)]
      .map(([, name]) => name!)
      .filter((name) => !this.#environment[name]);
    if (missing.length > 0)
      throw new DestinationProblem(
        `not set in the environment of the activator: ${[...new Set(missing)].join(', ')}`,
      );
    return text.replace(REFERENCE, (_reference, name: string) => this.#value(name));
  }

  /** The text without any value that was filled in. */
  redact(text: string): string {
    let clean = text;
    for (const value of this.#values) clean = clean.replaceAll(value, '***');
    return clean;
  }

  #value(name: string): string {
    const value = this.#environment[name]!;
    // It would be taken for a template.
    if (/\{\{|\{%/.test(value)) throw new DestinationProblem(`the value of ${name} holds {{ or {%`);
    if (value.length >= REDACTED_CHARS_MIN) this.#values.add(value);
    return value;
  }
}
