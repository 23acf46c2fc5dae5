// A destination of a config file with its defaults filled in.
import { parseDurationMs } from '../../kernel/duration.ts';
import type { DestinationBase, DestinationConfig, TemplateTree } from './destination-config.ts';
import type { RawDestination } from './destination-schemas.ts';

export const DESTINATION_DEFAULTS = {
  concurrency: 10,
  timeoutMs: 10_000,
  attempts: 8,
  baseMs: 5_000,
  maxMs: 3_600_000,
  maxAgeMs: 3 * 86_400_000,
} as const;

const SMTP_PORTS = { starttls: 587, implicit: 465, none: 25 } as const;
const PER_MS = { s: 1000, m: 60_000, h: 3_600_000 } as const;

/** The destination must have the form of its type. */
export function readDestination(raw: RawDestination): DestinationConfig {
  const base = baseOf(raw);
  switch (raw.type) {
    case 'webhook':
      return {
        ...base,
        type: 'webhook',
        url: raw.url!,
        method: raw.method ?? 'POST',
        headers: raw.headers ?? {},
        body: (raw.body ?? null) as TemplateTree,
        secrets: typeof raw.secret === 'string' ? [raw.secret] : (raw.secret ?? []),
      };
    case 'smtp':
      return { ...base, type: 'smtp', ...smtpOf(raw) };
    case 'nats':
      return {
        ...base,
        type: 'nats',
        subject: raw.subject!,
        body: (raw.body ?? null) as TemplateTree,
        stored: raw.stored ?? false,
      };
    case 'log':
      return { ...base, type: 'log' };
  }
}

function smtpOf(raw: RawDestination) {
  const tls = raw.tls ?? 'starttls';
  return {
    host: raw.host!,
    port: raw.port ?? SMTP_PORTS[tls],
    tls,
    user: raw.user ?? null,
    password: raw.password ?? null,
    from: raw.from!,
    to: raw.to!,
    replyTo: raw.reply_to ?? null,
    subject: raw.subject!,
    text: raw.text ?? null,
    html: raw.html ?? null,
  };
}

function baseOf({ name, concurrency, rate, timeout, retry }: RawDestination): DestinationBase {
  const ms = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : (parseDurationMs(text) ?? otherwise);
  const [count = '', unit = 's'] = rate?.split('/') ?? [];
  return {
    name,
    concurrency: concurrency ?? DESTINATION_DEFAULTS.concurrency,
    rate: rate === undefined ? null : { count: Number(count), perMs: PER_MS[unit as keyof typeof PER_MS] },
    timeoutMs: ms(timeout, DESTINATION_DEFAULTS.timeoutMs),
    retry: {
      attempts: retry?.attempts ?? DESTINATION_DEFAULTS.attempts,
      baseMs: ms(retry?.base, DESTINATION_DEFAULTS.baseMs),
      maxMs: ms(retry?.max, DESTINATION_DEFAULTS.maxMs),
      maxAgeMs: ms(retry?.max_age, DESTINATION_DEFAULTS.maxAgeMs),
    },
  };
}
