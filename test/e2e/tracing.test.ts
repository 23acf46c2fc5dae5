// One event followed by OpenTelemetry from the request through log, shard and commit to the copies.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packagePath } from '../../infra/package-root.ts';
import { createRegistry, type RunningDev, runDev } from '../../infra/wire.ts';
import { parseRoleSettings } from '../../shared/settings.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually } from '../support/segment.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
const exporter = new InMemorySpanExporter();
let server: TestServer;
let dev: RunningDev;
let folder: string;

beforeAll(async () => {
  server = await startTestServer();
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-test-'));
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  );
  const flags = { config: [packagePath('infra/demo/shop.yaml')], port: '0', dataDir: folder, shards: '8' };
  const settings = { ...parseRoleSettings(flags, {}), natsUrl: server.url };
  dev = await runDev(settings, { log: pino({ level: 'silent' }), registry: createRegistry() });
});

afterAll(async () => {
  await dev?.stop();
  trace.disable();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function post(headers: Record<string, string>): Promise<void> {
  const answer = await fetch(`${dev.url}/v1/events?wait=commit`, {
    method: 'POST',
    headers: { authorization: `Bearer ${dev.writeKey}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ messageId: 'm1', name: 'product_view', keys: { user: 'u1' } }),
  });
  expect(answer.status).toBe(200);
}

describe('a traced event', () => {
  it('has spans of gateway, append, shard, commit and copy in the trace of its sender', async () => {
    await post({ traceparent: `00-${TRACE_ID}-${CALLER}-01` });
    const named = () =>
      new Map<string, ReadableSpan>(exporter.getFinishedSpans().map((span) => [span.name, span]));
    await eventually('the last span', () => named().has('copy'));
    const spans = named();
    expect([...spans.keys()].sort()).toEqual(['POST /v1/events', 'append', 'commit', 'copy', 'shard']);
    const parentOf = (name: string) => spans.get(name)?.parentSpanContext?.spanId;
    const idOf = (name: string) => spans.get(name)?.spanContext().spanId;
    for (const span of spans.values()) expect(span.spanContext().traceId).toBe(TRACE_ID);
    expect(parentOf('POST /v1/events')).toBe(CALLER);
    expect(parentOf('append')).toBe(idOf('POST /v1/events'));
    expect(parentOf('shard')).toBe(idOf('POST /v1/events'));
    expect(parentOf('commit')).toBe(idOf('shard'));
    expect(parentOf('copy')).toBe(idOf('shard'));
    expect(spans.get('commit')?.attributes).toMatchObject({
      'stitchwork.segment': 'shop',
      'messaging.message.id': 'm1',
      'stitchwork.commit_id': expect.stringMatching(/./),
    });
  });
});
