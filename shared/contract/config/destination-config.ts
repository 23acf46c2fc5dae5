// Destinations as a config has them, defaults filled in. Secrets stand as `${NAME}` and never as themselves: the process
// that delivers replaces them from its environment.

export const DESTINATION_TYPES = ['webhook', 'smtp', 'nats', 'log'] as const;
export type DestinationType = (typeof DESTINATION_TYPES)[number];

export const WEBHOOK_METHODS = ['POST', 'PUT', 'PATCH', 'GET', 'DELETE'] as const;
export const SMTP_TLS = ['starttls', 'implicit', 'none'] as const;

/** What comes before every kind of destination. */
export interface DestinationBase {
  readonly name: string;
  /** Deliveries under way at a time, of each activator process. */
  readonly concurrency: number;
  /** Most deliveries in a time, of each activator process; null: no limit. */
  readonly rate: { readonly count: number; readonly perMs: number } | null;
  /** One attempt, from the look-up of the address to the answer. */
  readonly timeoutMs: number;
  readonly retry: RetryConfig;
}

export interface RetryConfig {
  /** Attempts that the destination answers with a refusal; times when it cannot be reached do not count. */
  readonly attempts: number;
  /** Longest wait before the second attempt; it doubles from attempt to attempt. */
  readonly baseMs: number;
  /** Longest wait between two attempts. */
  readonly maxMs: number;
  /** No attempt begins later than this after the decision. */
  readonly maxAgeMs: number;
}

/** Text that is a Liquid template, or data of any shape with such texts in it. */
export type TemplateTree =
  | string
  | number
  | boolean
  | null
  | readonly TemplateTree[]
  | { readonly [name: string]: TemplateTree };

export interface WebhookConfig extends DestinationBase {
  readonly type: 'webhook';
  /** Liquid; what stands before the first output is fixed. */
  readonly url: string;
  readonly method: (typeof WEBHOOK_METHODS)[number];
  readonly headers: Readonly<Record<string, string>>;
  /** Text, or data that is sent as JSON; null: the activation. */
  readonly body: TemplateTree;
  /** Each signs every request, newest first; none: requests are not signed. */
  readonly secrets: readonly string[];
}

export interface SmtpConfig extends DestinationBase {
  readonly type: 'smtp';
  readonly host: string;
  readonly port: number;
  readonly tls: (typeof SMTP_TLS)[number];
  readonly user: string | null;
  readonly password: string | null;
  readonly from: string;
  readonly to: string;
  readonly replyTo: string | null;
  readonly subject: string;
  readonly text: string | null;
  readonly html: string | null;
}

export interface NatsConfig extends DestinationBase {
  readonly type: 'nats';
  /** Liquid; what stands before the first output is fixed. */
  readonly subject: string;
  readonly body: TemplateTree;
  /** A delivery counts when a stream has stored it; else when the server has it. */
  readonly stored: boolean;
}

export interface LogConfig extends DestinationBase {
  readonly type: 'log';
}

export type DestinationConfig = WebhookConfig | SmtpConfig | NatsConfig | LogConfig;
