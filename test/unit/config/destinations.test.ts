// Destinations of a config: read with their defaults; every mistake is told with its place and what was meant.
import { describe, expect, it } from 'vitest';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';

const HEAD = `segment: shop
stitching: { keys: [{ name: email }] }
activations: [{ name: mail, to: crm, payload: { total: 1, who: '{{ keys.email }}' } }]
destinations:
`;

function problemsOf(destination: string) {
  const parsed = parseSegmentConfig(`${HEAD}  - ${destination}\n`);
  return parsed.kind === 'ok' ? [] : parsed.problems;
}

function configOf(destination: string) {
  const parsed = parseSegmentConfig(`${HEAD}  - ${destination}\n`);
  if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
  return parsed.config;
}

describe('a destination', () => {
  it('is read with its defaults', () => {
    const { destinations, activations } = configOf(
      '{ name: crm, type: webhook, url: https://crm.example/hook }',
    );
    expect(activations[0]?.to).toEqual(['crm']);
    expect(destinations).toEqual([
      {
        name: 'crm',
        type: 'webhook',
        concurrency: 10,
        rate: null,
        timeoutMs: 10_000,
        retry: { attempts: 8, baseMs: 5000, maxMs: 3_600_000, maxAgeMs: 259_200_000 },
        url: 'https://crm.example/hook',
        method: 'POST',
        headers: {},
        body: null,
        secrets: [],
      },
    ]);
  });

  it('has what is written', () => {
    const { destinations } = configOf(
      "{ name: crm, type: webhook, url: 'https://crm.example/{{ payload.who }}', rate: 50/m, concurrency: 3, timeout: 2s, secret: ['${NEW}', '${OLD}'], retry: { attempts: 2, base: 1s, max: 10s, max_age: 1h } }",
    );
    expect(destinations[0]).toMatchObject({
      rate: { count: 50, perMs: 60_000 },
      concurrency: 3,
      timeoutMs: 2000,
      secrets: ['${NEW}', '${OLD}'],
      retry: { attempts: 2, baseMs: 1000, maxMs: 10_000, maxAgeMs: 3_600_000 },
    });
  });

  it('may be one of several of an activation', () => {
    const parsed = parseSegmentConfig(`segment: s
stitching: { keys: [{ name: email }] }
activations: [{ name: a, to: [x, y] }]
destinations: [{ name: x, type: log }, { name: y, type: nats, subject: crm.mail }]
`);
    expect(parsed).toMatchObject({ kind: 'ok', config: { activations: [{ to: ['x', 'y'] }] } });
  });

  const HOOK = 'name: crm, type: webhook';
  it.each([
    [
      'a type',
      '{ name: crm, type: webhok, url: https://a.example/ }',
      { path: 'destinations[0].type', suggestion: 'webhook' },
    ],
    [
      'a field',
      `{ ${HOOK}, url: https://a.example/, metod: PUT }`,
      { code: 'UNKNOWN_FIELD', suggestion: 'method' },
    ],
    ['no URL', `{ ${HOOK} }`, { code: 'SHAPE', message: "the field 'url' is missing" }],
    [
      'a rate',
      `{ ${HOOK}, url: https://a.example/, rate: 100 per s }`,
      { message: expect.stringContaining('100/s') },
    ],
    [
      'a written secret',
      `{ ${HOOK}, url: https://a.example/, secret: hush }`,
      { path: 'destinations[0].secret', message: expect.stringContaining('${CRM_SECRET}') },
    ],
    [
      'a host by value',
      `{ ${HOOK}, url: 'https://{{ payload.who }}/' }`,
      { code: 'PATTERN', path: 'destinations[0].url' },
    ],
    [
      'a host that a value goes on with',
      `{ ${HOOK}, url: 'https://crm{{ payload.who }}/' }`,
      { code: 'PATTERN', message: expect.stringContaining("'/'") },
    ],
    [
      'a password in a URL',
      `{ ${HOOK}, url: 'https://a:b@crm.example/' }`,
      { code: 'PATTERN', message: expect.stringContaining('header') },
    ],
    ['another scheme', `{ ${HOOK}, url: 'ftp://crm.example/' }`, { code: 'PATTERN' }],
    [
      'Liquid that does not parse',
      `{ ${HOOK}, url: https://a.example/, body: '{{ payload.who' }`,
      { code: 'EXPRESSION', path: 'destinations[0].body' },
    ],
    [
      'a filter',
      `{ ${HOOK}, url: https://a.example/, body: { a: ['{{ payload.who | upcas }}'] } }`,
      { code: 'EXPRESSION', path: 'destinations[0].body.a[0]' },
    ],
    [
      'other templates',
      `{ ${HOOK}, url: https://a.example/, body: '{% include "x" %}' }`,
      { code: 'EXPRESSION' },
    ],
    [
      'the profile',
      `{ ${HOOK}, url: https://a.example/, body: '{{ profile.spend }}' }`,
      { code: 'REFERENCE', message: expect.stringContaining('payload of the activation') },
    ],
    [
      'a root',
      `{ ${HOOK}, url: https://a.example/, body: '{{ payloud.who }}' }`,
      { code: 'REFERENCE', suggestion: 'payload' },
    ],
    [
      'a field of the payload',
      `{ ${HOOK}, url: https://a.example/, body: '{{ payload.totl }}' }`,
      { code: 'REFERENCE', suggestion: 'total' },
    ],
    [
      'a key',
      `{ ${HOOK}, url: https://a.example/, body: '{{ keys.emai }}' }`,
      { code: 'REFERENCE', suggestion: 'email' },
    ],
    [
      'a header of its own',
      `{ ${HOOK}, url: https://a.example/, headers: { Webhook-Id: x } }`,
      { code: 'NAME' },
    ],
    [
      'a variable',
      `{ ${HOOK}, url: https://a.example/, headers: { a: '\${token}' } }`,
      { code: 'PATTERN', message: expect.stringContaining('environment') },
    ],
    [
      'a long attempt',
      `{ ${HOOK}, url: https://a.example/, timeout: 1h }`,
      { code: 'LIMIT', path: 'destinations[0].timeout' },
    ],
    [
      'a mail without text',
      `{ name: crm, type: smtp, host: h, from: a@b.c, to: '{{ keys.email }}', subject: s }`,
      { code: 'SHAPE' },
    ],
    ['a subject by value', `{ name: crm, type: nats, subject: '{{ payload.who }}' }`, { code: 'PATTERN' }],
    [
      'a subject of the engine',
      `{ name: crm, type: nats, subject: 'events.shop.{{ payload.who }}' }`,
      { code: 'PATTERN', message: expect.stringContaining('own') },
    ],
    ['a subject of the server', `{ name: crm, type: nats, subject: '$JS.API.x' }`, { code: 'PATTERN' }],
  ])('that is wrong is told: %s', (_, destination, problem) => {
    const problems = problemsOf(destination);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ line: 5, ...problem });
  });
});
