// Stored records: what is written is read the same, records of every older version are read, damaged ones are refused.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import type { Link, Profile, Redirect } from '../../../actors/profile/profile.ts';
import { decodeRecord, encodeRecord, RECORD_VERSION } from '../../../actors/profile/record-codec.ts';
import { configOf, DAY, ProfileFold, SECOND, T0 } from './harness.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures/records');
const ID = '019b76da-a400-7be8-978f-25750c8475c4';

const PROFILE: Profile = {
  kind: 'profile',
  id: ID,
  createdAtMs: T0,
  updatedAtMs: T0 + 2 * SECOND,
  lastEventAtMs: T0 + 2 * SECOND,
  keys: {
    email: [{ value: 'ann@x', firstSeenMs: T0, lastSeenMs: T0, source: 'm-1' }],
    device: [{ value: 'd1', firstSeenMs: T0 + 2 * SECOND, lastSeenMs: T0 + 2 * SECOND, source: 'm-2' }],
  },
  attributes: {
    page: {
      kind: 'single',
      value: { path: '/ü', tags: ['a', null, 1.5] },
      atMs: T0 + SECOND,
      messageId: 'm-2',
    },
    views: {
      kind: 'counter',
      total: 3_000_000,
      windows: {
        '1h': [
          [29_450_000, 1_000_000],
          [29_450_001, 2_000_000],
        ],
      },
    },
  },
  seen: [Buffer.from(Uint32Array.of(11, 22, T0 / 1000, 33, 44, T0 / 1000 + 1).buffer)],
  timers: { expire: { dueMs: T0 + 90 * DAY, generation: 1 } },
  generation: 1,
  fired: { vip: T0 + 2 * SECOND },
  mergedFrom: ['019b76da-a3ff-7000-8000-000000000000'],
  mergedCount: 7,
  configVersion: 3,
};
const REDIRECT: Redirect = { kind: 'redirect', to: ID, atMs: T0, generation: 2 };
const LINK: Link = { kind: 'link', profileId: ID, atMs: T0, source: 'm-1' };

const FULL: Profile = {
  ...PROFILE,
  keys: {
    ...PROFILE.keys,
    email: [{ value: 'ann@x', firstSeenMs: T0, lastSeenMs: T0 + DAY, source: 'm-1' }],
  },
  observed: { ga: ['g1', 'g2'] },
  apart: [{ profileId: '019b76da-a3ff-7000-8000-000000000001', atMs: T0 }],
  stamps: [
    { shard: 0, sequence: 7, hash: 4_294_967_295 },
    { shard: 63, sequence: 9_007_199_254_740_991, hash: 0 },
  ],
  rebuilding: [
    {
      splitId: 's-1',
      profileId: ID,
      sinceMs: T0,
      keys: { email: ['ann@x'], device: ['d0'] },
      after: { 3: 17, 63: 9_007_199_254_740_991 },
      early: [[3, 18]],
    },
  ],
  former: { device: ['d0'] },
};

const FULL_REDIRECT: Redirect = { ...REDIRECT, was: { createdAtMs: T0, keys: { device: ['d1'] } } };
const FULL_LINK: Link = {
  ...LINK,
  profileId: null,
  past: [{ profileId: ID, untilMs: T0 }],
  shared: true,
  touches: { customer_id: ['c1'] },
  profiles: [ID],
};

const EXPECTED: Readonly<Record<string, unknown>> = {
  'profile-v1': { ...PROFILE, mergedCount: 1, fired: {} },
  'redirect-v1': REDIRECT,
  'link-v1': LINK,
  'profile-v2': PROFILE,
  'redirect-v2': REDIRECT,
  'link-v2': LINK,
  'profile-v3': PROFILE,
  'redirect-v3': REDIRECT,
  'link-v3': LINK,
  'profile-v4': FULL,
  'redirect-v4': FULL_REDIRECT,
  'link-v4': FULL_LINK,
};

describe('records of every version', () => {
  it('have a fixture', () => {
    const versions = new Set(Object.keys(EXPECTED).map((name) => Number(name.split('-v')[1])));
    expect([...versions].sort()).toEqual(Array.from({ length: RECORD_VERSION }, (_, i) => i + 1));
  });

  it.each(Object.keys(EXPECTED))('%s is read', (name) => {
    expect(decodeRecord('p.x', readFileSync(join(FIXTURES, `${name}.bin`)))).toEqual(EXPECTED[name]);
  });

  it.each(Object.keys(EXPECTED))('%s is read as the same from any view of bytes', (name) => {
    const bytes = readFileSync(join(FIXTURES, `${name}.bin`));
    const large = new Uint8Array(bytes.length + 13);
    large.set(bytes, 5);
    for (const view of [
      Uint8Array.from(bytes),
      large.subarray(5, 5 + bytes.length),
      Buffer.from(large.buffer, 5, bytes.length),
    ]) {
      expect(decodeRecord('p.x', view)).toEqual(EXPECTED[name]);
    }
  });
});

describe('writing', () => {
  it.each([PROFILE, REDIRECT, LINK])('a $kind and reading it gives the same', (state) => {
    expect(decodeRecord('k', encodeRecord('k', state))).toEqual(state);
  });

  it('gives bytes of their own, which a later write does not change', () => {
    const first = encodeRecord('k', LINK);
    const copy = Buffer.from(first);
    for (let i = 0; i < 100; i++) encodeRecord('k', { ...LINK, source: `x${i}` });
    expect(first).toEqual(copy);
  });

  it('keeps numbers as they are', () => {
    const values = [0, -1, 0.1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1), 1e300];
    const state = { ...PROFILE, attributes: { a: { ...PROFILE.attributes.page, value: values } } };
    expect(decodeRecord('k', encodeRecord('k', state))).toEqual(state);
  });

  it('is small: a profile of one key and one event', () => {
    const fold = new ProfileFold(configOf());
    fold.send({ keys: { device: 'd1' } });
    expect(encodeRecord('k', fold.profiles()[0]).length).toBeLessThan(300);
  });

  it('a profile with 4,000 seen ids stays far below the limit of a record', () => {
    const fold = new ProfileFold(configOf(), { throughCodec: false });
    for (let i = 0; i < 5000; i++) fold.send({ keys: { device: 'd1' } }, T0 + i);
    expect(encodeRecord('k', fold.profiles()[0]).length).toBeLessThan(64 * 1024);
  });
});

const stored = (body: unknown) => Uint8Array.of(1, ...pack(body));

describe('writing refuses', () => {
  it('a state of an unknown kind', () => {
    expect(() => encodeRecord('k', { ...LINK, kind: 'journey' })).toThrow('unknown kind journey');
  });
});

describe('reading refuses', () => {
  const sound = encodeRecord('k', PROFILE);

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['an unknown codec', Uint8Array.of(9, ...sound.subarray(1))],
    ['a cut record', sound.subarray(0, sound.length - 5)],
    ['a codec byte alone', Uint8Array.of(1)],
    ['a number', Uint8Array.of(1, 5)],
    ['null', Uint8Array.of(1, 0xc0)],
    ['a newer version', stored([RECORD_VERSION + 1, [2, ID, T0, 'm']])],
    ['version 0', stored([0, [2, ID, T0, 'm']])],
    ['a version without a row', stored([RECORD_VERSION])],
    ['an unknown kind', stored([RECORD_VERSION, [9, ID]])],
    ['an object of a later version', stored({ ...LINK, v: 3 })],
    ['an object of version 0', stored({ ...LINK, v: 0 })],
    ['an object of an unknown kind', stored({ v: 2, kind: 'journey' })],
  ])('%s', (_, bytes) => {
    expect(() => decodeRecord('k', bytes)).toThrow();
  });

  it('bytes that were changed, or reads them, but never hangs', () => {
    for (let i = 0; i < sound.length; i++) {
      const bytes = Uint8Array.from(sound);
      bytes[i] = bytes[i]! ^ 0xff;
      try {
        decodeRecord('k', bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
  });
});
