// Whatever an SDK sends, or somebody who plays one: an answer of the table, never a 500; and what is stored can be applied.
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseMessage } from '../../../../actors/profile/parse-message.ts';
import { ERRORS, type ErrorCode } from '../../../../shared/kernel/errors.ts';
import { startGateway, type TestGateway, WRITE_KEY } from '../support/harness.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({ treasureDataHosts: ['*'] });
});
afterAll(() => gateway[Symbol.asyncDispose]());

const text = fc.string({ unit: 'binary', maxLength: 20 });
const anything = fc.oneof(text, fc.jsonValue(), fc.constantFrom('', null, 0, -1, 1e300));
const id = fc.oneof(fc.constantFrom('u1', 'd1', 7, ''), anything);
const time = fc.oneof(
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  fc.double(),
  anything,
);
const odd = { requiredKeys: [] };
const fields = fc.oneof(
  fc.dictionary(fc.oneof(text, fc.constantFrom('email', '__proto__', 'constructor', 'context')), anything),
  anything,
);
const call = fc.record(
  {
    type: fc.oneof(fc.constantFrom('track', 'identify', 'page', 'screen', 'group', 'alias'), anything),
    event: fc.oneof(fc.constantFrom('Product Viewed'), anything),
    userId: id,
    anonymousId: id,
    previousId: id,
    messageId: fc.oneof(text, anything),
    traits: fields,
    properties: fields,
    context: fc.oneof(fc.record({ traits: fields }), fields),
    timestamp: time,
    originalTimestamp: time,
    sentAt: time,
    groupId: anything,
    name: anything,
  },
  odd,
);
const batch = fc.record(
  {
    batch: fc.oneof(fc.array(fc.oneof(call, anything), { maxLength: 4 }), anything),
    sentAt: time,
    context: fields,
  },
  odd,
);
const record = fc.record(
  {
    td_client_id: id,
    email: id,
    customer_id: id,
    event_name: anything,
    time,
    uuid: anything,
    td_ip: fc.constant('td_ip'),
    td_record_time: time,
  },
  odd,
);
const records = fc.record({
  events: fc.oneof(fc.array(fc.oneof(record, anything), { maxLength: 4 }), anything),
});
const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc
    .oneof(call, batch, record, records, anything)
    .map((value) => Buffer.from(JSON.stringify(value) ?? 'null')),
);
const URLS = [
  '/v1/t',
  '/v1/i',
  '/v1/a',
  '/v1/b',
  '/v1/import',
  '/td/my_db/my_table',
  '/my_db/my_table',
  '/postback/v3/event/my_db/my_table',
];
const TYPES = [
  'application/json',
  'text/plain',
  'application/x-www-form-urlencoded',
  'application/vnd.treasuredata.v1+json',
  'application/x-ndjson',
];

describe('protocols', () => {
  it('answer by the table, store what they say they store, and store nothing that cannot be applied', async () => {
    const { segment } = gateway;
    const config = segment.config();
    let stored = 0;
    await fc.assert(
      fc.asyncProperty(
        body,
        fc.constantFrom(...URLS),
        fc.constantFrom(...TYPES),
        fc.boolean(),
        async (bytes, url, type, gzip) => {
          segment.appender.requests.length = 0;
          const answer = await gateway.app.inject({
            method: 'POST',
            url,
            headers: { authorization: `TD1 ${WRITE_KEY}`, 'x-td-write-key': WRITE_KEY, 'content-type': type },
            query: url.startsWith('/v1') ? { writeKey: WRITE_KEY } : {},
            payload: gzip ? gzipSync(bytes) : bytes,
          });
          const appends = segment.appender.requests.flat();
          if (answer.statusCode !== 200) {
            const { code } = (answer.json() as { error: { code: ErrorCode } }).error;
            expect([ERRORS[code].status, appends.length]).toEqual([answer.statusCode, 0]);
            expect(answer.statusCode).toBeLessThan(500);
          }
          for (const [index, { payload }] of appends.entries()) {
            const message = {
              payload,
              sequence: index + 1,
              nowMs: 1_800_000_000_000,
              shard: 0,
              logId: 'l',
              source: 'ingest',
            };
            expect(['event', 'link']).toContain(parseMessage(message as never, config).kind);
            stored++;
          }
        },
      ),
      { numRuns: 1_500 },
    );
    expect(stored).toBeGreaterThan(100);
  });

  it('a document that is nested without end is refused', async () => {
    const deep = `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`;
    for (const [url, payload] of [
      ['/v1/t', `{"event":"A","userId":"u1","properties":${deep}}`],
      ['/td/my_db/my_table', `{"email":"a@x.io","deep":${deep}}`],
    ] as const) {
      const headers = { authorization: `Bearer ${WRITE_KEY}`, 'content-type': 'application/json' };
      const answer = await gateway.app.inject({ method: 'POST', url, headers, payload });
      expect(answer.statusCode).toBe(400);
    }
  });
});
