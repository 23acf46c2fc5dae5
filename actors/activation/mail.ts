// Activations as mails over SMTP. Every attempt has the same Message-ID, so that a receiver can tell repeats.
import { connect, type LookupFunction, type Socket } from 'node:net';
import { createTransport } from 'nodemailer';
import type SMTPTransport from 'nodemailer/lib/smtp-transport/index.js';
import type { SmtpConfig } from '../../shared/contract/config/destination-config.ts';
import { LiquidFailure } from '../../shared/contract/liquid.ts';
import type { AddressRule } from './address-rule.ts';
import type { Attempt, Destination, DestinationDeps, Outcome } from './destination.ts';
import { Secrets } from './environment.ts';
import { failureText } from './http-request.ts';
import { AddressRefused, guardedLookup, refuseLiteral } from './look-up.ts';
import { rootsOf, textTemplate } from './render.ts';

/** One mailbox: a value must not bring a second receiver. */
const ADDRESS = /^[^\s@,;:<>"()[\]\\]+@[^\s@,;:<>"()[\]\\]+$/;
/** Too busy, or shutting down. */
const NOT_NOW = 421;
const AUTHENTICATION = new Set([454, 530, 534, 535, 538]);

interface Mail {
  readonly from: { readonly name: string; readonly address: string };
  readonly to: string;
  readonly replyTo: string | undefined;
  readonly subject: string;
  readonly text: string | undefined;
  readonly html: string | undefined;
  readonly messageId: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Throws DestinationProblem when the environment lacks a secret. */
export function openMail(config: SmtpConfig, deps: DestinationDeps): Destination {
  const secrets = new Secrets(deps.environment);
  const mailOf = mailBuilder(config, secrets);
  const transport = transportOptions(config, secrets);
  const lookup = guardedLookup(deps.addresses);
  return {
    async deliver(attempt) {
      let mail: Mail;
      try {
        mail = mailOf(attempt);
      } catch (error) {
        if (error instanceof LiquidFailure) return { kind: 'rejected', error: secrets.redact(error.message) };
        throw error;
      }
      const outcome = await send(mail, transport, {
        lookup,
        addresses: deps.addresses,
        signal: attempt.signal,
      });
      const answer = outcome.answer === undefined ? undefined : secrets.redact(outcome.answer);
      if (outcome.kind === 'delivered') return { ...outcome, answer };
      return { ...outcome, answer, error: secrets.redact(outcome.error) };
    },
    close() {},
  };
}

function transportOptions(config: SmtpConfig, secrets: Secrets): SMTPTransport.Options {
  const { port, tls, user, password } = config;
  const host = secrets.fill(config.host);
  return {
    host,
    port,
    secure: tls === 'implicit',
    requireTLS: tls === 'starttls',
    ignoreTLS: tls === 'none',
    tls: { servername: host },
    ...(user !== null && { auth: { user: secrets.fill(user), pass: secrets.fill(password ?? '') } }),
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

interface Way {
  readonly lookup: LookupFunction;
  readonly addresses: AddressRule;
  readonly signal: AbortSignal;
}

async function send(mail: Mail, options: SMTPTransport.Options, way: Way): Promise<Outcome> {
  let socket: Socket | undefined;
  let connected = false;
  const stop = () => socket?.destroy(new Error('no answer in time'));
  way.signal.addEventListener('abort', stop, { once: true });
  try {
    socket = await openSocket(options, way);
    connected = true;
    const connection = socket;
    const transport = createTransport({ ...options, getSocket: (_, done) => done(null, { connection }) });
    const { response } = await transport.sendMail(mail as SMTPTransport.MailOptions);
    return {
      kind: 'delivered',
      status: Number.parseInt(response, 10) || undefined,
      answer: response.slice(0, 1024),
    };
  } catch (error) {
    return way.signal.aborted
      ? { kind: connected ? 'refused' : 'unavailable', error: 'no answer in time' }
      : failedOutcome(error as Error & { responseCode?: number; response?: string }, connected);
  } finally {
    way.signal.removeEventListener('abort', stop);
    socket?.destroy();
  }
}

function openSocket({ host = '', port = 0 }: SMTPTransport.Options, way: Way): Promise<Socket> {
  refuseLiteral(host, way.addresses);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), lookup: way.lookup, signal: way.signal });
    socket.once('connect', () => {
      socket.off('error', reject);
      // What breaks later is told by the transport, or after it has ended by nobody.
      socket.on('error', () => {});
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

function failedOutcome(
  error: Error & { responseCode?: number; response?: string },
  connected: boolean,
): Outcome {
  if (error instanceof AddressRefused) return { kind: 'refused', error: error.message };
  const { responseCode: status, response } = error;
  const text = failureText(error);
  if (status === undefined) return { kind: connected ? 'refused' : 'unavailable', error: text };
  const answer = response?.slice(0, 1024);
  if (status === NOT_NOW) return { kind: 'unavailable', status, answer, error: text };
  const isFinal = status >= 500 && !AUTHENTICATION.has(status);
  return { kind: isFinal ? 'rejected' : 'refused', status, answer, error: text };
}

function mailBuilder(config: SmtpConfig, secrets: Secrets): (attempt: Attempt) => Mail {
  const template = (source: string, escaping: 'none' | 'html' = 'none') =>
    textTemplate(secrets.fill(source), escaping);
  const optional = (source: string | null, escaping: 'none' | 'html' = 'none') =>
    source === null ? () => undefined : template(source, escaping);
  const [from, to, replyTo] = [template(config.from), template(config.to), optional(config.replyTo)];
  const [subject, text, html] = [
    template(config.subject),
    optional(config.text),
    optional(config.html, 'html'),
  ];
  return (attempt) => {
    const roots = rootsOf(attempt);
    const { id } = attempt.activation;
    const sender = senderOf(from(roots));
    const reply = replyTo(roots);
    return {
      from: sender,
      to: addressOf('to', to(roots)),
      replyTo: reply === undefined ? undefined : addressOf('reply_to', reply),
      subject: subject(roots).replace(/[\r\n]+/g, ' '),
      text: text(roots),
      html: html(roots),
      messageId: `<${id}@${sender.address.split('@')[1]}>`,
      headers: { 'X-Stitchwork-Activation': id },
    };
  };
}

/** `Shop <shop@example.com>`, or the address alone. */
function senderOf(text: string): Mail['from'] {
  const [, name = '', address = text] = /^\s*"?([^"<>\r\n]*?)"?\s*<([^<>]+)>\s*$/.exec(text) ?? [];
  return { name, address: addressOf('from', address) };
}

function addressOf(field: string, text: string): string {
  const address = text.trim();
  if (ADDRESS.test(address)) return address;
  throw new LiquidFailure(`'${field}' is ${address === '' ? 'empty' : 'no single address'}`);
}
