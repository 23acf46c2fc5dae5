// RudderStack's source config: its browser SDK's recorded request, keys, and what the document holds.
import { afterEach, beforeEach, expect, it } from 'vitest';
import { errorCode, startGateway, type TestGateway, WRITE_KEY } from '../support/harness.ts';
import { recorded, resend } from './recorded.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway({ writeKeys: [WRITE_KEY, 'WK_RS'] });
});
afterEach(() => gateway[Symbol.asyncDispose]());

it("answers @rudderstack/analytics-js's preflight and request", async () => {
  const requests = recorded('rudder-analytics-js', 'standard').filter(({ path }) =>
    path.startsWith('/sourceConfig'),
  );
  const [preflight, document] = await Promise.all(requests.map((request) => resend(gateway, request)));
  expect([preflight!.statusCode, document!.statusCode]).toEqual([204, 200]);
  expect(preflight!.headers['access-control-allow-headers']).toBe('authorization');
  expect(document!.headers['access-control-allow-origin']).toBe(requests[1]!.headers.origin);
  expect(document!.json()).toMatchObject({
    source: {
      writeKey: 'WK_RS',
      enabled: true,
      config: { statsCollection: { errors: { enabled: false }, metrics: { enabled: false } } },
      destinations: [],
    },
  });
});

it.each([
  ['Basic', '/sourceConfig', { authorization: `Basic ${btoa(`${WRITE_KEY}:`)}` }, 200],
  ['the query', `/sourceConfig/?writeKey=${WRITE_KEY}&v=3`, {}, 200],
  ['the query, with a segment', `/sourceConfig?writeKey=${WRITE_KEY}@shop`, {}, 200],
  ['nothing', '/sourceConfig', {}, 401],
  ['an unknown one', '/sourceConfig/?writeKey=nobody', {}, 401],
])('the key stands in %s', async (_, url, headers, status) => {
  const answer = await gateway.app.inject({ url, headers: headers as Record<string, string> });
  expect(answer.statusCode).toBe(status);
  if (status === 401) expect(errorCode(answer)).toBe('UNAUTHORIZED');
  else expect(JSON.stringify(answer.json())).not.toContain(`"id":"${WRITE_KEY}`);
});
