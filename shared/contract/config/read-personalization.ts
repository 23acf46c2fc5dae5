// Personalization services of a checked config file.
import { parseDurationMs } from '../../kernel/duration.ts';
import {
  defaultSecretOf,
  type SectionConfig,
  type ServiceConfig,
  type TokenConfig,
} from './personalization-config.ts';
import {
  PERSONALIZATION_DEFAULTS,
  type RawSection,
  type RawService,
  type RawToken,
} from './personalization-schemas.ts';

export function readService(raw: RawService): ServiceConfig {
  const budgetMs = raw.budget === undefined ? undefined : parseDurationMs(raw.budget);
  return {
    name: raw.service,
    public: raw.public ?? false,
    origins: (raw.origins ?? []).map((origin) => origin.toLowerCase()),
    credentials: raw.credentials ?? false,
    tokens: (raw.tokens ?? [{ name: 'default', secret: `\${${defaultSecretOf(raw.service)}}` }]).map(tokenOf),
    budgetMs: budgetMs ?? PERSONALIZATION_DEFAULTS.budget_ms,
    answer: raw.answer ?? 'all',
    answerBytes: raw.answer_bytes ?? PERSONALIZATION_DEFAULTS.answer_bytes,
    sections: raw.sections.map(sectionOf),
  };
}

function tokenOf({ name, secret, ips }: RawToken): TokenConfig {
  return { name, secrets: [secret].flat().map((reference) => reference.slice(2, -1)), ips: ips ?? [] };
}

function sectionOf(raw: RawSection): SectionConfig {
  return {
    name: raw.name,
    on: [raw.on ?? []].flat(),
    when: raw.when ?? null,
    priority: raw.priority ?? 0,
    lookups: Object.entries(raw.lookup ?? {}).map(([name, { catalog, by, max }]) => ({
      name,
      catalog,
      by,
      max: max ?? PERSONALIZATION_DEFAULTS.lookup_rows,
    })),
    returns: raw.return ?? {},
    audiences: audiencesOf(raw.audiences),
    split: (raw.split ?? []).map(({ name, percent, control, return: returns }) => ({
      name,
      percent,
      control: control ?? false,
      returns: returns ?? {},
    })),
    fallback: raw.fallback ?? null,
  };
}

function audiencesOf(raw: RawSection['audiences']): SectionConfig['audiences'] {
  if (raw === true) return 'all';
  return raw === undefined || raw === false ? null : raw;
}
