// Requests of real SDKs, as they were recorded on the wire, sent to a gateway again.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { LightMyRequestResponse } from 'fastify';
import type { LogEnvelope } from '../../../../shared/contract/event.ts';
import { type Clock, systemClock } from '../../../../shared/kernel/clock.ts';
import type { TestGateway } from '../support/harness.ts';

export interface RecordedRequest {
  readonly method: 'GET' | 'POST' | 'OPTIONS';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

const FOLDER = join(import.meta.dirname, '../../../fixtures/protocols');

/** Requests of a recorded scenario, in order. */
export function recorded(sdk: string, scenario: string): readonly RecordedRequest[] {
  const file = JSON.parse(readFileSync(join(FOLDER, `${sdk}.json`), 'utf8')) as {
    readonly scenarios: Readonly<Record<string, readonly RecordedRequest[]>>;
  };
  const requests = file.scenarios[scenario];
  if (requests === undefined) throw new Error(`${sdk} has no scenario ${scenario}`);
  return requests;
}

/** Sends it as it was sent, gzipped where it was. */
export function resend(
  { app }: TestGateway,
  { method, path, headers, body }: RecordedRequest,
): Promise<LightMyRequestResponse> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const payload = text !== undefined && headers['content-encoding'] === 'gzip' ? gzipSync(text) : text;
  return app.inject({ method, url: path, headers, ...(payload !== undefined && { payload }) });
}

/** A clock that stands still. */
export function clockAt(iso: string): Clock {
  return { ...systemClock, nowMs: () => Date.parse(iso) };
}

/** Events as `<name> <keys>`, links as `link <keys>`. */
export function summary(envelopes: readonly LogEnvelope[]): readonly string[] {
  return envelopes.map((envelope) => {
    if (envelope.type === 'event') {
      const { name, keys } = envelope.event;
      const list = Object.entries(keys).map(([key, value]) => `${key}=${value}`);
      return [name, ...list].join(' ');
    }
    if (envelope.type !== 'link') throw new Error(`a ${envelope.type}`);
    return ['link', ...envelope.keys.map(({ name, value }) => `${name}=${value}`)].join(' ');
  });
}
