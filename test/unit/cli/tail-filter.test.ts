// The filter of `tail --where`: what conditions see, and what happens when one is wrong.
import { describe, expect, it } from 'vitest';
import { compileWhere, messageFilter, type TailSource } from '../../../infra/cli/tail-filter.ts';
import type { StreamMessage } from '../../../shared/nats/stream-reader.ts';
import { testConfig } from '../gateway/support/harness.ts';
import { runCommand } from './run.ts';

const TIME_MS = Date.UTC(2026, 10, 22, 10);

function message(body: unknown, subject = 'events.shop.3.ingest'): StreamMessage {
  const payload = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return { subject, sequence: 1, timeMs: TIME_MS, payload };
}

function event(part: object): StreamMessage {
  const whole = {
    messageId: 'm1',
    name: 'Ordered',
    keys: { email: ' Ann@Example.com ' },
    properties: {},
    ...part,
  };
  return message({ v: 1, type: 'event', event: whole });
}

function accepts(where: string, subject: StreamMessage, what: TailSource = 'events'): boolean {
  const filter = messageFilter(compileWhere(where, what), what, testConfig());
  const accepted = filter.accepts(subject);
  expect(filter.failures).toEqual({ count: 0, first: undefined });
  return accepted;
}

describe('an event', () => {
  it.each([
    ['event.name == "Ordered"', true],
    ['event.name == "Viewed"', false],
    ['event.properties.revenue > 100', true],
    ['event.properties.revenue / 2 == 75.25', true],
    ['event.properties.nothing > 100', false],
    ['has(event.properties.nothing)', false],
    // Keys as the config normalizes them.
    ['event.keys.email == "ann@example.com"', true],
    ['event.timestamp < now', true],
    ['now == timestamp("2026-11-22T10:00:00Z")', true],
    ['subject.endsWith(".ingest")', true],
    ['event.messageId == "m1" && event.table == ""', true],
  ])('%s is %s', (where, expected) => {
    const sent = event({ properties: { revenue: 150.5 }, timestampMs: TIME_MS - 5000 });
    expect(accepts(where, sent)).toBe(expected);
  });

  it('loses keys that identify nobody', () => {
    expect(accepts('has(event.keys.customer_id)', event({ keys: { customer_id: 'guest' } }))).toBe(false);
    expect(accepts('has(event.keys.customer_id)', event({ keys: { customer_id: 'c1' } }))).toBe(true);
  });

  it('a timer or garbage has no fields, and does not match', () => {
    const timer = { v: 1, type: 'timer', profileId: 'p', timer: 't', generation: 1, dueMs: 1 };
    expect(accepts('event.name == "Ordered"', message(timer))).toBe(false);
    expect(accepts('event.name == "Ordered"', message('garbage'))).toBe(false);
    expect(accepts('!has(event.name)', message('garbage'))).toBe(true);
  });

  it('is taken as sent where no config is deployed', () => {
    const filter = messageFilter(
      compileWhere('event.keys.email.startsWith(" Ann")', 'events'),
      'events',
      undefined,
    );
    expect(filter.accepts(event({}))).toBe(true);
  });
});

it('activations and audit entries are seen as they stand', () => {
  const activation = message({ name: 'mail', payload: { total: 7 } }, 'activations.shop.mail');
  expect(accepts('activation.payload.total > 5', activation, 'activations')).toBe(true);
  const entry = message({ kind: 'profiles_merged', facts: [{ kind: 'profiles_merged' }] });
  expect(accepts('audit.facts.exists(f, f.kind == "profiles_merged")', entry, 'audit')).toBe(true);
  expect(accepts('audit.kind == "key_attached"', entry, 'audit')).toBe(false);
});

it('what cannot be evaluated does not match, and is counted with the first reason', () => {
  const filter = messageFilter(compileWhere('event.properties.qty > 1', 'events'), 'events', testConfig());
  const sent = [2, 'many', true].map((qty) => event({ properties: { qty } }));
  expect(sent.map((one) => filter.accepts(one))).toEqual([true, false, false]);
  expect(filter.failures).toEqual({ count: 2, first: expect.stringContaining('no such overload') });
});

it('a result that is neither true nor false is a failure', () => {
  const filter = messageFilter(compileWhere('event.name', 'events'), 'events', testConfig());
  expect(filter.accepts(event({}))).toBe(false);
  expect(filter.failures).toEqual({ count: 1, first: expect.stringContaining('not true or false') });
});

describe('a wrong condition', () => {
  it.each([
    ['event.name == ', 'line 1, column 15'],
    ['evnt.name == "x"', 'line 1, column 1'],
    ['event.name == "x" &&\n  profile.views > 1', 'line 2, column 3'],
    ['event.name.matches("a(")', 'line 1, column 20'],
    ['"text"', 'not true or false'],
  ])('%j exits 2 before any server is asked, and says where', async (where, place) => {
    const { code, err, out } = await runCommand(['tail', 'events', '--where', where, '--segment', 'shop']);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(place);
    expect(err).toContain('roots here: event, subject, now');
  });

  it('knows the roots of the stream', async () => {
    const { code, err } = await runCommand([
      'tail',
      'audit',
      '--where',
      'event.name == "x"',
      '--segment',
      'shop',
    ]);
    expect(code).toBe(2);
    expect(err).toContain('roots here: audit, subject, now');
  });
});
