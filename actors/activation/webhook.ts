// Activations as HTTP requests, signed by Standard Webhooks. The same activation has the same id in every attempt.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { fixedPart } from '../../shared/contract/config/check-destinations.ts';
import type { WebhookConfig } from '../../shared/contract/config/destination-config.ts';
import { LiquidFailure, type LiquidRoots } from '../../shared/contract/liquid.ts';
import {
  type Attempt,
  type Destination,
  type DestinationDeps,
  DestinationProblem,
  type Outcome,
} from './destination.ts';
import { Secrets } from './environment.ts';
import { callHttp, failureText, type HttpResult } from './http-request.ts';
import { AddressRefused, guardedLookup, refuseLiteral } from './look-up.ts';
import { dataTemplate, plainBody, rootsOf, textTemplate } from './render.ts';
import { retryAfterMs } from './retry-after.ts';
import { secretBytes, signatures } from './sign.ts';

const JSON_TYPE = 'application/json';
/** The receiver says that it cannot now, whatever it is asked. */
const NOT_NOW: ReadonlySet<number> = new Set([408, 425, 429, 502, 503, 504]);
/** The same request would be answered alike for ever. */
const NEVER: ReadonlySet<number> = new Set([400, 405, 406, 410, 411, 413, 414, 415, 422, 426, 431, 501, 505]);

interface Request {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** Throws DestinationProblem when the environment lacks a secret, or what it holds makes no URL. */
export function openWebhook(config: WebhookConfig, deps: DestinationDeps): Destination {
  const secrets = new Secrets(deps.environment);
  const build = requestBuilder(config, secrets);
  const signing = config.secrets.map((secret) => secretBytes(secrets.fill(secret)));
  const options = { keepAlive: true, maxSockets: config.concurrency };
  const agents = { 'http:': new HttpAgent(options), 'https:': new HttpsAgent(options) };
  const lookup = guardedLookup(deps.addresses);
  return {
    async deliver(attempt) {
      const built = tryBuild(() => build(attempt));
      if ('error' in built) return { kind: 'rejected', error: secrets.redact(built.error) };
      const { url, headers, body } = built;
      try {
        refuseLiteral(url.hostname, deps.addresses);
      } catch (error) {
        return { kind: 'refused', error: failureText(error as Error) };
      }
      const agent = agents[url.protocol as 'http:' | 'https:'];
      const all = { ...headers, ...ownHeaders(attempt, body ?? '', signing) };
      const { method } = config;
      const result = await callHttp({
        url,
        method,
        headers: all,
        body,
        agent,
        lookup,
        signal: attempt.signal,
      });
      return redacted(outcomeOf(result, attempt), secrets);
    },
    close() {
      agents['http:'].destroy();
      agents['https:'].destroy();
    },
  };
}

function ownHeaders(
  { activation, nowMs }: Attempt,
  body: string,
  secrets: readonly Buffer[],
): Readonly<Record<string, string>> {
  const { id } = activation;
  const timestamp = Math.floor(nowMs / 1000);
  const signed = secrets.length > 0 && { 'webhook-signature': signatures({ id, timestamp, body }, secrets) };
  return { 'idempotency-key': id, 'webhook-id': id, 'webhook-timestamp': String(timestamp), ...signed };
}

function requestBuilder(config: WebhookConfig, secrets: Secrets): (attempt: Attempt) => Request {
  const urlOf = urlBuilder(secrets.fill(config.url));
  const named = Object.entries(config.headers).map(
    ([name, source]) => [name.toLowerCase(), textTemplate(secrets.fill(source), 'none')] as const,
  );
  const bodyOf = bodyBuilder(config, secrets);
  return (attempt) => {
    const roots = rootsOf(attempt);
    const headers: Record<string, string> = { 'user-agent': 'Stitchwork' };
    const body = bodyOf(attempt, roots);
    if (body !== undefined) headers['content-type'] = JSON_TYPE;
    for (const [name, render] of named) headers[name] = headerValue(name, render(roots));
    if (body !== undefined) headers['content-length'] = String(Buffer.byteLength(body));
    return { url: urlOf(roots), headers, body };
  };
}

/** Values are encoded, and what comes out must begin as what is written out does. */
function urlBuilder(source: string): (roots: LiquidRoots) => URL {
  const render = textTemplate(source, 'url');
  const fixed = fixedPart(source);
  const isWhole = fixed === source;
  if (
    !URL.canParse(fixed) ||
    !/^https?:\/\/[^/?#]+/i.test(fixed) ||
    (!isWhole && !/^https?:\/\/[^/?#]+\//i.test(fixed))
  )
    throw new DestinationProblem('the URL does not begin with http:// or https:// and a host');
  const prefix = new URL(fixed).href;
  return (roots) => {
    const text = render(roots).trim();
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url?.href.startsWith(prefix)) throw new LiquidFailure(`a value led the URL away from ${fixed}`);
    return url;
  };
}

function bodyBuilder(
  { body, method, headers }: WebhookConfig,
  secrets: Secrets,
): (attempt: Attempt, roots: LiquidRoots) => string | undefined {
  if (method === 'GET' || (method === 'DELETE' && body === null)) return () => undefined;
  if (body === null) return (attempt) => JSON.stringify(plainBody(attempt));
  if (typeof body === 'string') {
    const render = textTemplate(secrets.fill(body), escapingOf(headers));
    return (_attempt, roots) => render(roots);
  }
  const build = dataTemplate(body, (text) => secrets.fill(text));
  return (_attempt, roots) => JSON.stringify(build(roots));
}

function escapingOf(headers: Readonly<Record<string, string>>): 'json' | 'form' | 'none' {
  const [, type = JSON_TYPE] =
    Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type') ?? [];
  if (/json/i.test(type)) return 'json';
  return /x-www-form-urlencoded/i.test(type) ? 'form' : 'none';
}

function headerValue(name: string, value: string): string {
  if (/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return value;
  throw new LiquidFailure(`the header ${name} would hold characters that a header cannot have`);
}

/** A template that cannot be rendered with this activation never can. */
function tryBuild(build: () => Request): Request | { readonly error: string } {
  try {
    return build();
  } catch (error) {
    if (error instanceof LiquidFailure) return { error: error.message };
    throw error;
  }
}

function outcomeOf(result: HttpResult, { nowMs, signal }: Attempt): Outcome {
  if (result.kind === 'failed') {
    const { error, sent } = result;
    if (error instanceof AddressRefused) return { kind: 'refused', error: error.message };
    const text = signal.aborted
      ? `no answer in time${sent ? '' : ', and no connection'}`
      : failureText(error);
    return { kind: sent ? 'refused' : 'unavailable', error: text };
  }
  const { status, answer, headers } = result;
  if (status >= 200 && status < 300) return { kind: 'delivered', status, answer };
  const error = `answered ${status}`;
  if (status >= 300 && status < 400)
    return {
      kind: 'rejected',
      status,
      answer,
      error: `${error}: redirects are not followed; give the URL that it goes to`,
    };
  if (NEVER.has(status)) return { kind: 'rejected', status, answer, error };
  const kind = NOT_NOW.has(status) ? 'unavailable' : 'refused';
  return { kind, status, answer, error, retryAfterMs: retryAfterMs(headers['retry-after'], nowMs) };
}

function redacted(outcome: Outcome, secrets: Secrets): Outcome {
  const answer = outcome.answer === undefined ? undefined : secrets.redact(outcome.answer);
  if (outcome.kind === 'delivered') return { ...outcome, answer };
  return { ...outcome, answer, error: secrets.redact(outcome.error) };
}
