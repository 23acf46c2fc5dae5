// `protocols` of a config: defaults by the usual names, every named key must be there, and what a diff says of it.
import { describe, expect, it } from 'vitest';
import { diffConfigs } from '../../../shared/contract/config/diff.ts';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';

const KEYS = (names: readonly string[]) =>
  `segment: shop\nstitching: { keys: [${names.map((name) => `{ name: ${name} }`).join(', ')}] }\n`;
const SHOP = KEYS(['customer_id', 'email', 'anonymous_id']);

function read(yaml: string) {
  const parsed = parseSegmentConfig(yaml);
  if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
  return { yaml, config: parsed.config };
}
function problems(yaml: string) {
  const parsed = parseSegmentConfig(yaml);
  return parsed.kind === 'ok' ? [] : parsed.problems.map(({ path, code }) => `${path} ${code}`);
}

describe('defaults', () => {
  it('take the keys that have the usual names', () => {
    expect(read(SHOP).config.protocols).toEqual({
      segment: {
        userId: 'customer_id',
        anonymousId: 'anonymous_id',
        previousId: 'anonymous_id',
        traits: { email: 'email' },
        names: { identify: 'identify', page: 'page', screen: 'screen', group: 'group' },
      },
      treasureData: {
        databases: [],
        name: 'event_name',
        keys: {
          td_client_id: 'anonymous_id',
          customer_id: 'customer_id',
          email: 'email',
          anonymous_id: 'anonymous_id',
        },
      },
    });
  });

  it('and none where there are no such keys, or none are wanted', () => {
    const none = { userId: null, anonymousId: null, previousId: null, traits: {} };
    expect(read(KEYS(['member'])).config.protocols.segment).toMatchObject(none);
    const off = 'protocols: { segment: { user_id: null, anonymous_id: null, traits: {} } }\n';
    expect(read(SHOP + off).config.protocols.segment).toMatchObject(none);
  });

  it('follow what is said: an alias is about the anonymous id, a browser of Treasure Data too', () => {
    const { segment, treasureData } = read(
      `${KEYS(['user', 'cookie'])}protocols: { segment: { anonymous_id: cookie } }\n`,
    ).config.protocols;
    expect(segment.previousId).toBe('cookie');
    expect(treasureData.keys).toEqual({ td_client_id: 'cookie', user: 'user', cookie: 'cookie' });
  });
});

describe('problems', () => {
  it('a key that is not declared, at its place, with what was meant', () => {
    const yaml = `${SHOP}protocols:
  segment: { user_id: custmer_id, anonymous_id: x, previous_id: y, traits: { mail: emial } }
  treasure_data: { keys: { td_client_id: cookie } }
`;
    expect(problems(yaml)).toEqual([
      'protocols.segment.user_id REFERENCE',
      'protocols.segment.anonymous_id REFERENCE',
      'protocols.segment.previous_id REFERENCE',
      'protocols.segment.traits.mail REFERENCE',
      'protocols.treasure_data.keys.td_client_id REFERENCE',
    ]);
    const parsed = parseSegmentConfig(yaml);
    expect(parsed.kind === 'invalid' && parsed.problems[0]!.suggestion).toBe('customer_id');
  });

  it('fields and names that there are not', () => {
    expect(problems(`${SHOP}protocols: { segmnet: {} }\n`)).toEqual(['protocols.segmnet UNKNOWN_FIELD']);
    expect(problems(`${SHOP}protocols: { segment: { names: { track: a } } }\n`)).toEqual([
      'protocols.segment.names.track UNKNOWN_FIELD',
    ]);
    expect(problems(`${SHOP}protocols: { treasure_data: { databases: [Shop] } }\n`)).toHaveLength(1);
  });
});

describe('a diff', () => {
  const changes = (a: string, b: string) => diffConfigs(read(a), read(b)).changes;

  it('tells what is said anew, as it is written', () => {
    expect(changes(SHOP, `${SHOP}protocols: { segment: { names: { page: Seen } } }\n`)).toMatchObject([
      {
        kind: 'changed',
        section: 'protocols',
        name: 'segment',
        fields: [{ field: 'names', before: null, after: { page: 'Seen' } }],
      },
    ]);
  });

  it('not what spells a default out, nor a default that follows a new key', () => {
    expect(changes(SHOP, `${SHOP}protocols: { segment: { user_id: customer_id } }\n`)).toEqual([]);
    const more = KEYS(['customer_id', 'email', 'anonymous_id', 'phone']);
    expect(changes(SHOP, more).map(({ section }) => section)).toEqual(['stitching.keys']);
  });
});
