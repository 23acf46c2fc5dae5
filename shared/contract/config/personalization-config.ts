// Personalization services as the engine uses them: defaults filled in, secrets by the names of their variables.

export const ANSWER_RULES = ['all', 'first'] as const;
/** Every section that matches answers, or the first by priority. */
export type AnswerRule = (typeof ANSWER_RULES)[number];

export interface TokenConfig {
  readonly name: string;
  /** Names of variables of the environment; each of their values is a token. Two while one takes the other's place. */
  readonly secrets: readonly string[];
  /** Networks that it is taken from; none: any. */
  readonly ips: readonly string[];
}

/** Rows of a catalog, found when somebody asks. */
export interface LookupConfig {
  readonly name: string;
  readonly catalog: string;
  /** CEL giving a key, or a list of them. */
  readonly by: string;
  /** Most rows of a list. */
  readonly max: number;
}

export interface VariantConfig {
  readonly name: string;
  readonly percent: number;
  /** Gets what a visitor gets for whom the section does not match. */
  readonly control: boolean;
  /** Fields in place of the section's own of the same names. */
  readonly returns: Readonly<Record<string, unknown>>;
}

export interface SectionConfig {
  readonly name: string;
  /** Key events that it answers to; none: every call, also one without an event. */
  readonly on: readonly string[];
  /** CEL over event, profile, keys and audiences; null: everybody who has a profile. */
  readonly when: string | null;
  readonly priority: number;
  readonly lookups: readonly LookupConfig[];
  /** Values are constants, or text with `{{ CEL }}` in it. */
  readonly returns: Readonly<Record<string, unknown>>;
  /** Which of the visitor's audiences are told; null: none of them. */
  readonly audiences: 'all' | readonly string[] | null;
  /** None: everybody gets the same. */
  readonly split: readonly VariantConfig[];
  /** Fields for those for whom it does not match; null: they get nothing. */
  readonly fallback: Readonly<Record<string, unknown>> | null;
}

export interface ServiceConfig {
  readonly name: string;
  /** Asked by browsers: nothing sensitive leaves. */
  readonly public: boolean;
  /** Origins of pages that may ask; none: any. `*.` in front of a host stands for its subdomains. */
  readonly origins: readonly string[];
  /** Whether pages ask with cookies. */
  readonly credentials: boolean;
  readonly tokens: readonly TokenConfig[];
  /** Within this time it answers, whatever is slow. */
  readonly budgetMs: number;
  readonly answer: AnswerRule;
  /** Largest answer of all sections together. */
  readonly answerBytes: number;
  /** As they are written. */
  readonly sections: readonly SectionConfig[];
}

/** What public services leave out. */
export interface Withheld {
  readonly attributes: readonly string[];
  /** As `table.column`. */
  readonly columns: readonly string[];
  readonly audiences: readonly string[];
}

/** The variable that holds the token of a service which names none. */
export function defaultSecretOf(service: string): string {
  return `STITCHWORK_TOKEN_${service.toUpperCase()}`;
}
