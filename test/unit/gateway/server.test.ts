// Around the routes: keys, one error shape, methods, documents, and behaviour on real sockets.
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import Ajv2020 from 'ajv/dist/2020.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeRecord } from '../../../actors/profile/record-codec.ts';
import { ProfileAnswer } from '../../../gateway/http/profile-schemas.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { ERRORS } from '../../../shared/kernel/errors.ts';
import type { AppendOutcome } from '../../../shared/ports/event-log.ts';
import { ADMIN_KEY, errorCode, event, startGateway, type TestGateway, WRITE_KEY } from './support/harness.ts';
import { makeProfile } from './support/records.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

const ONE = JSON.stringify(event());

describe('keys', () => {
  const post = (authorization: string | undefined) =>
    gateway.app.inject({
      method: 'POST',
      url: '/v1/events',
      headers: {
        'content-type': 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
      },
      payload: ONE,
    });

  it.each([
    ['a write key', `Bearer ${WRITE_KEY}`, 202],
    ['an admin key', `Bearer ${ADMIN_KEY}`, 202],
    ['Basic', `Basic ${Buffer.from(`${WRITE_KEY}:`).toString('base64')}`, 202],
    ['none', undefined, 401],
    ['an unknown key', 'Bearer write-key-2', 401],
    ['the start of a key', 'Bearer write-key-', 401],
    ['another scheme', `Token ${WRITE_KEY}`, 401],
  ])('%s', async (_name, header, status) => {
    const answer = await post(header);
    expect(answer.statusCode).toBe(status);
    if (status === 401) {
      expect(errorCode(answer)).toBe('UNAUTHORIZED');
      expect(answer.headers['www-authenticate']).toContain('Bearer');
      expect(gateway.segment.appender.requests).toEqual([]);
    }
  });

  it('a key in both lists is an admin key', async () => {
    await using both = await startGateway({ writeKeys: ['same-key'], adminKeys: ['same-key'] });
    expect((await both.get('/v1/status', 'same-key')).statusCode).toBe(200);
  });

  it.each(['/health/live', '/health/ready', '/openapi.json', '/', '/metrics'])('%s is open', async (url) => {
    expect((await gateway.get(url, null)).statusCode).toBe(200);
  });

  it('closes /metrics when the settings say so', async () => {
    await using closed = await startGateway({ metricsOpen: false });
    expect((await closed.get('/metrics', null)).statusCode).toBe(401);
    expect((await closed.get('/metrics', WRITE_KEY)).statusCode).toBe(403);
    expect((await closed.get('/metrics', ADMIN_KEY)).statusCode).toBe(200);
  });
});

describe('answers', () => {
  it('404 and 405 in the error shape', async () => {
    const unknown = await gateway.get('/v2/nothing');
    expect([unknown.statusCode, errorCode(unknown)]).toEqual([404, 'NOT_FOUND']);
    for (const [method, url, allow] of [
      ['GET', '/v1/events', 'POST'],
      ['PUT', '/v1/events', 'POST'],
      ['POST', '/v1/profiles/email/x', 'GET, HEAD'],
      ['DELETE', '/v1/status', 'GET, HEAD'],
      ['POST', '/health/live', 'GET, HEAD'],
    ] as const) {
      const answer = await gateway.app.inject({ method, url });
      expect([answer.statusCode, errorCode(answer), answer.headers.allow]).toEqual([
        405,
        'METHOD_NOT_ALLOWED',
        allow,
      ]);
    }
  });

  it('status tells the truth of the ports', async () => {
    gateway.segment.log.shards.set(3, [1, 2]);
    const answer = await gateway.get('/v1/status?segment=shop');
    expect(answer.json().segments[0]).toMatchObject({ name: 'shop', configVersion: 1, lag: 2 });
    expect(answer.json().segments[0].shards[3]).toEqual({
      shard: 3,
      owner: null,
      lag: 2,
      lastCommitAt: null,
    });
    expect(errorCode(await gateway.get('/v1/status?segment=nope'))).toBe('UNKNOWN_SEGMENT');
    expect((await gateway.get('/v1/status', WRITE_KEY)).statusCode).toBe(403);
  });

  it('status has a deadline', async () => {
    await using slow = await startGateway({ statusDeadlineMs: 20 });
    slow.segment.store.failure = () => new Promise(() => {});
    const answer = await slow.get('/v1/status');
    expect([answer.statusCode, errorCode(answer)]).toEqual([503, 'STORE_UNAVAILABLE']);
  });

  it('ready says why not', async () => {
    gateway.segment.appender.reachable = false;
    const answer = await gateway.get('/health/ready', null);
    expect([answer.statusCode, errorCode(answer)]).toEqual([503, 'NOT_READY']);
    expect(answer.json().error.message).toContain('shop');
    expect((await gateway.get('/health/live', null)).statusCode).toBe(200);
  });
});

interface OpenApi {
  readonly openapi: string;
  readonly paths: Record<
    string,
    Record<string, { responses: Record<string, { content?: Record<string, { schema: object }> }> }>
  >;
}

describe('/openapi.json', () => {
  it('has every route and nothing else', async () => {
    const { paths } = (await gateway.get('/openapi.json', null)).json() as OpenApi;
    expect(
      Object.entries(paths)
        .map(([path, methods]) => `${Object.keys(methods).join()} ${path}`)
        .sort(),
    ).toEqual(
      [
        'get /',
        'get /health/live',
        'get /health/ready',
        'get /metrics',
        'get /sourceConfig',
        'get /v1/activations',
        'get /v1/audiences',
        'get /v1/catalogs/{name}/{key}',
        'get /v1/audit',
        'get /v1/identity/jobs/{id}',
        'get /v1/journeys',
        'get /v1/profiles/id/{profileId}',
        'get /v1/profiles/id/{profileId}/identity',
        'get /v1/profiles/{keyName}/{value}',
        'get /v1/profiles/{keyName}/{value}/identity',
        'get /v1/projects/{writeKey}/settings',
        'get /v1/status',
        'post /v1/events',
        'post /v1/g',
        'post /v1/group',
        'post /v1/i',
        'post /v1/identify',
        'post /v1/identity/merge',
        'post /v1/identity/rebuild',
        'post /v1/identity/simulate',
        'post /v1/identity/split',
        'post /v1/import',
        'post /v1/p',
        'post /v1/page',
        'post /v1/personalize/{service}',
        'post /v1/s',
        'post /v1/screen',
        'post /v1/t',
        'post /v1/track',
        'get /v1/config',
        'get /v1/config/schema.json',
        'get /v1/config/{segment}/versions',
        'get /v1/config/{segment}/versions/{version}',
        'get,post /v1/config/{segment}/diff',
        'get,put /v1/config/{segment}',
        'post /postback/v3/event/{database}/{table}',
        'post /td/public/{database}/{table}',
        'post /td/{database}/{table}',
        'post /v1/a',
        'post /v1/alias',
        'post /v1/b',
        'post /v1/batch',
        'post /v1/config/validate',
        'post /v1/config/{segment}/rollback',
      ].sort(),
    );
  });

  it('describes the answers that are given', async () => {
    const document = (await gateway.get('/openapi.json', null)).json() as OpenApi;
    const ajv = new Ajv2020.default({ strict: false });
    const matches = (path: string, method: string, answer: { statusCode: number; body: string }) => {
      const schema =
        document.paths[path]?.[method]?.responses[answer.statusCode]?.content?.['application/json']?.schema;
      if (schema === undefined) throw new Error(`${method} ${path} does not tell of ${answer.statusCode}`);
      const valid = ajv.validate(schema, JSON.parse(answer.body));
      expect(valid, `${path} ${answer.statusCode}: ${ajv.errorsText()}`).toBe(true);
    };
    const events = [
      ONE,
      `[${ONE},1]`,
      '{',
      '[1]',
      '[{"name":"n","keys":{}}]',
      `[${Array(501).fill('1').join()}]`,
    ];
    for (const body of events) matches('/v1/events', 'post', await gateway.post(body));
    for (const kind of ['full', 'unknown', 'unavailable'] as const) {
      gateway.segment.appender.answers.push({ kind, reason: '' });
      matches('/v1/events', 'post', await gateway.post(ONE));
    }
    gateway.segment.appender.answers.push({ kind: 'overloaded', retryAfterMs: 5 });
    matches('/v1/events', 'post', await gateway.post(ONE));
    matches('/v1/events', 'post', await gateway.post(ONE, { key: null }));
    matches('/v1/events', 'post', await gateway.post(ONE, { type: 'image/png' }));
    matches('/v1/events', 'post', await gateway.post(ONE, { query: '?segment=x' }));
    matches('/v1/status', 'get', await gateway.get('/v1/status'));
    matches('/v1/status', 'get', await gateway.get('/v1/status', WRITE_KEY));
    matches('/v1/profiles/{keyName}/{value}', 'get', await gateway.get('/v1/profiles/email/a@b.c'));
    matches('/v1/profiles/{keyName}/{value}', 'get', await gateway.get('/v1/profiles/nope/x'));
    matches('/v1/profiles/{keyName}/{value}', 'get', await gateway.get('/v1/profiles/email/guest'));
    const key = recordKeys.profile('p1');
    gateway.segment.store.leader.set(key, encodeRecord(key, makeProfile('p1', { email: ['a@b.c'] })));
    const profile = await gateway.get('/v1/profiles/id/p1');
    matches('/v1/profiles/id/{profileId}', 'get', profile);
    expect(Object.keys(profile.json()).sort()).toEqual(Object.keys(ProfileAnswer.properties).sort());
    matches('/', 'get', await gateway.get('/'));
    matches('/health/ready', 'get', await gateway.get('/health/ready'));
  });

  it('lists error codes under the status that the table gives them', async () => {
    const document = (await gateway.get('/openapi.json', null)).json() as OpenApi;
    let seen = 0;
    for (const methods of Object.values(document.paths)) {
      for (const { responses } of Object.values(methods)) {
        for (const [status, { content }] of Object.entries(responses)) {
          const schema = content?.['application/json']?.schema as
            | { properties?: { error?: { properties: { code: { enum: (keyof typeof ERRORS)[] } } } } }
            | undefined;
          for (const code of schema?.properties?.error?.properties.code.enum ?? []) {
            expect([code, ERRORS[code].status]).toEqual([code, Number(status)]);
            seen++;
          }
        }
      }
    }
    expect(seen).toBeGreaterThan(30);
  });
});

describe('on real sockets', () => {
  async function listen(): Promise<number> {
    await gateway.app.listen({ port: 0, host: '127.0.0.1' });
    return (gateway.app.server.address() as AddressInfo).port;
  }

  /** Sends raw text and returns the socket; `text()` is all that came back when it closed. */
  async function raw(port: number, text: string): Promise<{ socket: Socket; text: () => Promise<string> }> {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.on('data', (chunk) => {
      received += String(chunk);
    });
    socket.on('error', () => {});
    const closed = new Promise((resolve) => socket.on('close', resolve));
    await once(socket, 'connect');
    socket.write(text);
    return { socket, text: () => closed.then(() => received) };
  }

  const head = (length: number) =>
    `POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${WRITE_KEY}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n`;

  it('a client that goes away in the middle of a body leaves nothing behind', async () => {
    const port = await listen();
    const { socket } = await raw(port, `${head(10_000)}\r\n${ONE}`);
    await until(async () => (await gateway.metric('stitchwork_gateway_request_in_flight_bytes')) > 0);
    socket.destroy();
    await until(async () => (await gateway.metric('stitchwork_gateway_request_in_flight_bytes')) === 0);
    expect(gateway.segment.appender.requests).toEqual([]);
    expect(gateway.logged).toEqual([]);
  });

  it('a client that goes away during the append keeps its bytes counted until the log has answered', async () => {
    const port = await listen();
    let store: (outcome: AppendOutcome) => void = () => {};
    gateway.segment.appender.answers.push(new Promise((resolve) => (store = resolve)));
    const appended = gateway.segment.appender.nextAppend();
    const { socket } = await raw(port, `${head(ONE.length)}\r\n${ONE}`);
    await appended;
    const closed = once(socket, 'close');
    socket.destroy();
    await closed;
    expect(await gateway.metric('stitchwork_gateway_request_in_flight_bytes')).toBeGreaterThan(0);
    store({ kind: 'stored' });
    await until(async () => (await gateway.metric('stitchwork_gateway_request_in_flight_bytes')) === 0);
  });

  it('a body over the limit gets its 413 although it is still being sent', async () => {
    const port = await listen();
    const answer = await fetch(`http://127.0.0.1:${port}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${WRITE_KEY}`, 'content-type': 'application/json' },
      body: ' '.repeat(12_000_000),
    });
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({ error: { code: 'REQUEST_TOO_LARGE' } });
  });

  it('a refused body without end is cut off', async () => {
    const start = head(0).replace('content-length: 0', 'transfer-encoding: chunked');
    const { socket, text } = await raw(await listen(), `${start}\r\n`);
    const chunk = Buffer.from(`100000\r\n${' '.repeat(0x100000)}\r\n`);
    const pump = () => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', pump);
    pump();
    const answer = await text();
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
  });

  it('what is not HTTP is answered in the error shape', async () => {
    const { text } = await raw(await listen(), 'NOT HTTP\r\n\r\n');
    const answer = await text();
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer).toContain('"code":"BAD_REQUEST"');
  });

  it('headers beyond the limit are 431', async () => {
    const { text } = await raw(
      await listen(),
      `GET / HTTP/1.1\r\nhost: x\r\nx-pad: ${'a'.repeat(40_000)}\r\n\r\n`,
    );
    expect(await text()).toMatch(/^HTTP\/1.1 431 /);
  });

  it('a body that never comes is 408', async () => {
    await gateway[Symbol.asyncDispose]();
    gateway = await startGateway({ requestTimeoutMs: 100, headersTimeoutMs: 50, connectionsCheckMs: 20 });
    const { text } = await raw(await listen(), `${head(1_000)}\r\n{`);
    expect(await text()).toMatch(/^HTTP\/1.1 408 /);
  });

  it('close finishes what is in flight, takes nothing new, then closes the appender', async () => {
    const port = await listen();
    let store: (outcome: AppendOutcome) => void = () => {};
    gateway.segment.appender.answers.push(new Promise((resolve) => (store = resolve)));
    const appended = gateway.segment.appender.nextAppend();
    const { socket, text } = await raw(port, `${head(ONE.length)}\r\n${ONE}`);
    await appended;
    const closed = gateway.app.close();
    await until(async () => !gateway.app.server.listening);
    // A second request on the open connection, and a new connection.
    socket.write(`${head(ONE.length)}\r\n${ONE}`);
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
    expect(gateway.segment.appender.closed).toBe(0);
    store({ kind: 'stored' });
    await closed;
    expect(gateway.segment.appender.closed).toBe(1);
    const answers = await text();
    expect(answers).toContain('HTTP/1.1 202');
    expect(answers).toContain('"code":"NOT_READY"');
    expect(gateway.segment.appender.requests).toHaveLength(1);
  });

  it('close does not wait for ever for a client that does not finish', async () => {
    await gateway[Symbol.asyncDispose]();
    gateway = await startGateway({ closeGraceMs: 50 });
    await raw(await listen(), `${head(1_000)}\r\n{`);
    await until(async () => (await gateway.metric('stitchwork_gateway_request_in_flight_bytes')) > 0);
    await gateway.app.close();
    expect(gateway.segment.appender.closed).toBe(1);
  });
});

/** Polls a state of the gateway that no event tells of; fails by the test's own time limit. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
