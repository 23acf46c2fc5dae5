// Whatever bytes come in, POST /v1/events answers in its own words: 202 or an error of the table, never a 500.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERRORS } from '../../../shared/kernel/errors.ts';
import { errorCode, startGateway, type TestGateway } from './support/harness.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
});

const TYPES = ['application/json', 'application/x-ndjson', 'text/plain', 'application/x-www-form-urlencoded'];
const text = fc.string({ unit: 'binary', maxLength: 20 });
const nearEvent = fc.record(
  {
    messageId: fc.oneof(text, fc.anything()),
    name: fc.oneof(text, fc.constant('Product Viewed')),
    keys: fc.oneof(
      fc.dictionary(
        fc.oneof(fc.constantFrom('email', 'customer_id', '__proto__', 'constructor'), text),
        fc.oneof(text, fc.jsonValue()),
      ),
      fc.jsonValue(),
    ),
    properties: fc.oneof(fc.dictionary(text, fc.jsonValue()), fc.jsonValue()),
    timestamp: fc.oneof(
      text,
      fc.double(),
      fc.integer(),
      fc.date({ noInvalidDate: true }).map((d) => d.toISOString()),
    ),
    table: fc.oneof(text, fc.jsonValue()),
  },
  { requiredKeys: [] },
);
const soundEvent = fc.record({
  name: text,
  keys: fc.dictionary(fc.constantFrom('email', 'customer_id', 'anonymous_id'), text, { minKeys: 1 }),
  properties: fc.dictionary(text, fc.jsonValue()),
});
const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((json) => Buffer.from(json)),
  fc.array(fc.oneof(nearEvent, soundEvent), { maxLength: 5 }).map((events) => Buffer.from(stringify(events))),
  fc
    .array(fc.oneof(nearEvent, soundEvent), { maxLength: 5 })
    .map((events) => Buffer.from(events.map(stringify).join('\n'))),
);

/** JSON of anything; what JSON cannot say (bigint, circles) becomes null. */
function stringify(value: unknown): string {
  try {
    return JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? String(v) : v)) ?? 'null';
  } catch {
    return 'null';
  }
}

describe('POST /v1/events', () => {
  it('never answers 500, and accepts exactly what it appends', async () => {
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom(...TYPES), fc.boolean(), async (bytes, type, gzip) => {
        const before = gateway.segment.appender.requests.flat().length;
        const answer = await gateway.post(bytes, { type, gzip });
        const appended = gateway.segment.appender.requests.flat().length - before;
        if (answer.statusCode === 202) {
          expect(answer.json().accepted).toBe(appended);
        } else {
          expect(appended).toBe(0);
          const code = errorCode(answer) as keyof typeof ERRORS;
          expect(ERRORS[code].status).toBe(answer.statusCode);
          expect(answer.statusCode).toBeLessThan(500);
        }
      }),
      { numRuns: 600 },
    );
    expect(gateway.segment.appender.requests.length).toBeGreaterThan(10);
    expect(gateway.logged).toEqual([]);
  });
});
