// A gateway over in-memory ports, and requests to it by inject().
import { gzipSync } from 'node:zlib';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import pino from 'pino';
import { Registry } from 'prom-client';
import type { GatewaySegment } from '../../../../gateway/deps.ts';
import { createGateway } from '../../../../gateway/server.ts';
import type { GatewaySettings } from '../../../../gateway/settings.ts';
import { parseSegmentConfig } from '../../../../shared/contract/config/parse.ts';
import type { SegmentConfig } from '../../../../shared/contract/config/segment-config.ts';
import { segmentNames } from '../../../../shared/contract/names.ts';
import { type Clock, systemClock } from '../../../../shared/kernel/clock.ts';
import { seededRandom } from '../../../../shared/kernel/random.ts';
import { memoryConfigStore } from '../../../support/memory-config-store.ts';
import { fakeAudit } from './fake-audit.ts';
import {
  fakeAppender,
  fakeCopies,
  fakeHistory,
  fakeLog,
  fakeMembership,
  fakeRecentEvents,
  fakeReplyBoxes,
  fakeStore,
} from './fakes.ts';

export const WRITE_KEY = 'write-key-1';
export const ADMIN_KEY = 'admin-key-1';

const CONFIG = `
segment: shop
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 5, normalize: [trim, lowercase], valid: '^[^@\\s]+@[^@\\s]+$' }
    - { name: anonymous_id, kind: device, limit: 100 }
  invalid: [guest]
events:
  - { name: product_viewed, when: 'event.name == "Product Viewed"' }
attributes:
  - { name: last_category, type: single, on: product_viewed, value: event.properties.category }
`;

export function testConfig(): SegmentConfig {
  const parsed = parseSegmentConfig(CONFIG);
  if (parsed.kind === 'ok') return parsed.config;
  throw new Error(JSON.stringify(parsed.problems));
}

export function makeSegment(name = 'shop', config: SegmentConfig = testConfig()) {
  const log = fakeLog();
  return {
    config: () => config,
    configVersion: () => 1,
    configs: memoryConfigStore(),
    recentEvents: fakeRecentEvents(),
    appender: fakeAppender(),
    log,
    history: fakeHistory(log),
    store: fakeStore(),
    membership: fakeMembership(),
    copies: fakeCopies(),
    audit: fakeAudit(),
    decisions: fakeAudit(),
    deliveries: fakeAudit(),
    runs: () => ({}),
    replyBoxes: fakeReplyBoxes(),
    names: segmentNames(name),
    shards: 8,
  } satisfies GatewaySegment;
}

export type TestSegment = ReturnType<typeof makeSegment>;

export interface TestGateway extends AsyncDisposable {
  readonly app: FastifyInstance;
  readonly segments: readonly TestSegment[];
  /** The first segment. */
  readonly segment: TestSegment;
  readonly logged: string[];
  post(body: string | Buffer, options?: PostOptions): Promise<LightMyRequestResponse>;
  get(url: string, key?: string | null): Promise<LightMyRequestResponse>;
  /** Value of one metric line, 0 when it is not there. */
  metric(line: string): Promise<number>;
}

export interface PostOptions {
  readonly type?: string | null;
  readonly key?: string | null;
  readonly query?: string;
  /** Instead of /v1/events. */
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly gzip?: boolean;
}

export async function startGateway(
  settings: Partial<GatewaySettings> = {},
  segments: readonly TestSegment[] = [makeSegment()],
  clock: Clock = systemClock,
  secretOf?: (name: string) => string | undefined,
): Promise<TestGateway> {
  const logged: string[] = [];
  const app = await createGateway(
    {
      segments,
      clock,
      random: seededRandom(1),
      logger: pino({ level: 'warn' }, { write: (line: string) => logged.push(line) }),
      registry: new Registry(),
      ...(secretOf && { secretOf }),
    },
    { writeKeys: [WRITE_KEY], adminKeys: [ADMIN_KEY], readinessReuseMs: 0, ...settings },
  );
  const gateway: TestGateway = {
    app,
    segments,
    segment: segments[0]!,
    logged,
    post(body, o = {}) {
      const headers: Record<string, string> = { ...o.headers };
      if (o.type !== null) headers['content-type'] = o.type ?? 'application/json';
      if (o.key !== null) headers.authorization = `Bearer ${o.key ?? WRITE_KEY}`;
      const payload = o.gzip ? gzipSync(body) : body;
      return app.inject({
        method: 'POST',
        url: `${o.path ?? '/v1/events'}${o.query ?? ''}`,
        headers,
        payload,
      });
    },
    get(url, key = ADMIN_KEY) {
      return app.inject({
        method: 'GET',
        url,
        headers: key === null ? {} : { authorization: `Bearer ${key}` },
      });
    },
    async metric(line) {
      const text = (
        await app.inject({
          method: 'GET',
          url: '/metrics',
          headers: { authorization: `Bearer ${ADMIN_KEY}` },
        })
      ).body;
      return Number(
        text
          .split('\n')
          .find((l) => l.startsWith(`${line} `))
          ?.slice(line.length + 1) ?? 0,
      );
    },
    async [Symbol.asyncDispose]() {
      await app.close();
    },
  };
  return gateway;
}

/** A sound event; `extra` is added on top. */
export function event(extra: Record<string, unknown> = {}): Record<string, unknown> {
  return { name: 'Product Viewed', keys: { email: 'ann@example.com' }, ...extra };
}

/** The code of an error answer, after a look at its shape. */
export function errorCode(response: LightMyRequestResponse): string {
  const body = response.json() as { error: { code: string; message: string; details?: unknown[] } };
  const known = Object.keys(body).join() === 'error' && typeof body.error.message === 'string';
  if (!known) throw new Error(`not the error shape: ${response.body}`);
  if (/\bat .*\.ts:\d+/.test(response.body)) throw new Error(`a stack trace: ${response.body}`);
  return body.error.code;
}
