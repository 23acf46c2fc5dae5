// The diff of two configs: what it names, in which words, and that what does not change in meaning is not named.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeDiff } from '../../../shared/contract/config/describe-diff.ts';
import { type ConfigText, diffConfigs } from '../../../shared/contract/config/diff.ts';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';

const BASE = `
segment: shop
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 5 }
    - { name: device, kind: device, limit: 100 }
events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: ordered, when: 'event.name == "Ordered"' }
attributes:
  - { name: views, type: counter, on: viewed, windows: [1h, 7d] }
  - { name: last, type: single, on: viewed, value: event.properties.page }
  - { name: doubled, type: computed, value: 'profile.views["1h"] * 2' }
audiences:
  - { name: keen, when: 'profile.views["1h"] > 3' }
activations:
  - { name: mail, payload: { page: '{{ profile.last }}' } }
triggers:
  - { name: hello, on: viewed, once: true, activate: mail }
`;

function text(yaml: string): ConfigText {
  const parsed = parseSegmentConfig(yaml);
  if (parsed.kind === 'ok') return { yaml, config: parsed.config };
  throw new Error(parsed.problems.map(({ path, message }) => `${path}: ${message}`).join('\n'));
}

function diff(...edits: readonly (readonly [string, string])[]) {
  let after = BASE;
  for (const [from, to] of edits) {
    if (!after.includes(from)) throw new Error(`there is no ${from}`);
    after = after.replace(from, to);
  }
  return diffConfigs(text(BASE), text(after));
}

const shapeOf = (found: ReturnType<typeof diff>) =>
  found.changes.map(({ kind, section, name }) => `${kind} ${section} ${name}`);

describe('a diff of configs', () => {
  it('is empty for the same meaning: comments, layout, defaults that are spelt out', () => {
    const same = diff(
      ['segment: shop', '# the shop\nsegment:   shop'],
      ['limit: 1 }', 'limit: 1, kind: person }'],
      ['windows: [1h, 7d]', 'windows: [1h, 7d], total: false, merge: sum'],
    );
    expect(same).toEqual({ changes: [], stitching: false });
    expect(describeDiff(same)).toEqual(['nothing changes in meaning']);
  });

  it('names what is added, removed and changed, by section, with fields as they are written', () => {
    const found = diff(
      ['  - { name: last, type: single, on: viewed, value: event.properties.page }\n', ''],
      ['{{ profile.last }}', '{{ profile.doubled }}'],
      ['windows: [1h, 7d]', 'windows: [1h, 30d], total: true'],
      ['audiences:', '  - { name: orders, type: counter, total: true, on: ordered }\naudiences:'],
    );
    expect(shapeOf(found)).toEqual([
      'removed attributes last',
      'changed attributes views',
      'added attributes orders',
      'changed activations mail',
    ]);
    expect(found.stitching).toBe(false);
    expect(found.changes[1]?.fields).toEqual([
      { field: 'windows', before: ['1h', '7d'], after: ['1h', '30d'] },
      { field: 'total', before: null, after: true },
    ]);
    expect(describeDiff(found)).toEqual([
      'attributes',
      '  - last',
      expect.stringContaining('dropped from a profile with its next event'),
      '  ~ views',
      '      windows: ["1h","7d"] -> ["1h","30d"]',
      '      total: (none) -> true',
      expect.stringMatching(/windows that stay keep their counts.*; the total was kept all along/),
      '  + orders',
      '      starts empty: it takes in events from now on',
      'activations',
      '  ~ mail',
      '      payload: {"page":"{{ profile.last }}"} -> {"page":"{{ profile.doubled }}"}',
      expect.stringContaining('new form'),
    ]);
  });

  it('tells another kind from a changed one, and what is computed from what is kept', () => {
    const found = diff(
      [
        'type: single, on: viewed, value: event.properties.page',
        'type: max, on: viewed, value: event.properties.page',
      ],
      [`value: 'profile.views["1h"] * 2'`, `value: 'profile.views["1h"] * 3'`],
    );
    expect(shapeOf(found)).toEqual(['changed attributes last', 'changed attributes doubled']);
    expect(found.changes[0]?.effect).toMatch(/of another kind now: it starts anew/);
    expect(found.changes[1]?.effect).toMatch(/shown at once/);
  });

  it.each([
    ['limit: 5', 'limit: 3', 'email', /keep what they have.*existing links stay/],
    ['limit: 5', 'limit: 5, normalize: [lowercase]', 'email', /not found by it/],
    ['limit: 5', "limit: 5, valid: '.*@.*'", 'email', /judged anew when they come/],
  ])('tells what a changed key means: %s -> %s', (from, to, name, effect) => {
    const found = diff([from, to]);
    expect(found.stitching).toBe(true);
    expect(found.changes).toMatchObject([{ kind: 'changed', section: 'stitching.keys', name }]);
    expect(found.changes[0]?.effect).toMatch(effect);
  });

  it('tells a new order of keys, which decides whose an event is', () => {
    const [a, b] = ['    - { name: customer_id, limit: 1 }\n', '    - { name: email, limit: 5 }\n'];
    const found = diff([a + b, b + a]);
    expect(found.stitching).toBe(true);
    expect(found.changes).toMatchObject([
      {
        section: 'stitching',
        name: 'keys',
        fields: [
          {
            field: 'order',
            before: ['customer_id', 'email', 'device'],
            after: ['email', 'customer_id', 'device'],
          },
        ],
      },
    ]);
  });

  it('a key that is added or removed is no new order', () => {
    const found = diff(['    - { name: email, limit: 5 }\n', '    - { name: phone, limit: 2 }\n']);
    expect(shapeOf(found)).toEqual(['removed stitching.keys email', 'added stitching.keys phone']);
  });

  it('tells what concerns all keys; retention stitches nobody anew', () => {
    const kept = diff(['events:\n', '  retention: { anonymous: 30d }\nevents:\n']);
    expect(kept).toMatchObject({
      stitching: false,
      changes: [
        { section: 'stitching', name: 'retention', fields: [{ before: null, after: { anonymous: '30d' } }] },
      ],
    });
    const limited = diff(['events:\n', '  max_keys_per_profile: 50\nevents:\n']);
    expect(limited).toMatchObject({ stitching: true, changes: [{ name: 'max_keys_per_profile' }] });
  });

  it('says something of every change of every section', () => {
    const removed = diffConfigs(text(BASE), text(BASE.slice(0, BASE.indexOf('events:'))));
    const added = diffConfigs(text(BASE.slice(0, BASE.indexOf('events:'))), text(BASE));
    expect(removed.changes).toHaveLength(8);
    expect(shapeOf(added)).toEqual(removed.changes.map(({ section, name }) => `added ${section} ${name}`));
    for (const { effect } of [...removed.changes, ...added.changes])
      expect(effect.length).toBeGreaterThan(20);
  });
});

/** Configs of a few items, each of which is absent or in one of several forms; some forms mean the same. */
const anyConfig = fc
  .record({
    limit: fc.constantFrom(
      '',
      ', limit: 3',
      ', limit: 5/30d',
      ', observe_only: true',
      ', observe_only: false',
    ),
    order: fc.boolean(),
    logout: fc.constantFrom('', '  logout: [Bye]\n', '  logout: []\n', '  max_keys_per_profile: 200\n'),
    views: fc.constantFrom(
      '',
      'windows: [1h]',
      'windows: [1h, 7d]',
      'total: true',
      'total: true, merge: sum',
    ),
    last: fc.constantFrom(
      '',
      'type: single',
      'type: single, keep: newest',
      'type: max',
      'type: single, ttl: 1d',
    ),
  })
  .map(({ limit, order, logout, views, last }) => {
    const keys = [`    - { name: email${limit} }\n`, '    - { name: device, kind: device }\n'];
    const attributes = [
      views && `  - { name: views, type: counter, on: viewed, ${views} }\n`,
      last && `  - { name: last, on: viewed, value: event.properties.page, ${last} }\n`,
    ].join('');
    return `segment: shop
stitching:
  keys:
${(order ? keys : keys.toReversed()).join('')}${logout}events:
  - { name: viewed, when: 'true' }
${attributes && `attributes:\n${attributes}`}`;
  });

describe('laws of the diff', () => {
  const digestOf = (yaml: string) => {
    const parsed = parseSegmentConfig(yaml);
    return parsed.kind === 'ok' ? parsed.digest : undefined;
  };

  it('is empty exactly when both mean the same', () => {
    fc.assert(
      fc.property(anyConfig, anyConfig, (a, b) => {
        const { changes } = diffConfigs(text(a), text(b));
        expect(changes.length === 0).toBe(digestOf(a) === digestOf(b));
        for (const { kind, fields } of changes) expect(fields.length > 0).toBe(kind === 'changed');
      }),
      { numRuns: 500 },
    );
  });

  it('turned round names the same items, added for removed', () => {
    const turned = { added: 'removed', removed: 'added', changed: 'changed' } as const;
    fc.assert(
      fc.property(anyConfig, anyConfig, (a, b) => {
        const there = diffConfigs(text(a), text(b));
        const back = diffConfigs(text(b), text(a));
        expect(back.stitching).toBe(there.stitching);
        expect(
          back.changes.map(({ kind, section, name }) => `${turned[kind]} ${section} ${name}`).sort(),
        ).toEqual(shapeOf(there).toSorted());
      }),
    );
  });
});
