// Laws of personalization. Nothing sensitive leaves by a public service, whatever a config says and however it says it: values
// are marked, and no answer holds a mark. Variants are the same for a profile every time, also through merges.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compileServices } from '../../actors/personalization/compile.ts';
import { selectSections } from '../../actors/personalization/decide.ts';
import { mergeProfiles } from '../../actors/profile/lifecycle.ts';
import type { Profile } from '../../actors/profile/profile.ts';
import { variantOf, withVariants } from '../../actors/profile/variants.ts';
import { viewProfile } from '../../actors/profile/view.ts';
import { parseSegmentConfig } from '../../shared/contract/config/parse.ts';
import { makeProfile } from '../unit/gateway/support/records.ts';

const MARK = 'MARKED';
const ATTRIBUTES = ['a0', 'a1', 'a2'] as const;
const COMPUTED = ['c0', 'c1', 'c2'] as const;
const COLUMNS = ['u', 'v'] as const;

/** Ways to a value of the profile, plain and devious. */
const reach = fc.oneof(
  fc.constantFrom(...ATTRIBUTES, ...COMPUTED).map((name) => `profile.${name}`),
  fc.constantFrom(...COLUMNS).map((name) => `profile.t.${name}`),
  fc.constantFrom(...ATTRIBUTES, ...COMPUTED).map((name) => `profile["${name}"]`),
  fc.constantFrom(...COLUMNS).map((name) => `profile.t["${name}"]`),
  fc.constantFrom(
    'profile',
    'profile.t',
    'profile["t"]',
    'audiences',
    '[profile][0]',
    'lookup.row',
    'lookup',
  ),
  fc.constantFrom(
    'profile.map(k, profile[k])',
    'profile.t.map(k, profile.t[k])',
    'profile.a0 == "" ? profile : profile.t',
    'has(profile.a1) ? profile.a1 : profile.a2',
    'audiences.in0 ? "yes" : "no"',
    '[1].map(x, profile)',
    '{"k": {"k": profile.c0}}',
    '{"k": {"k": 1}}.k.k == 1 ? profile.a0 : ""',
  ),
);
const computed = fc.oneof(
  fc.constantFrom(...ATTRIBUTES).map((name) => `profile.${name} + "c"`),
  fc.constantFrom(...COMPUTED).map((name) => `profile.${name} + "c"`),
  fc.constantFrom(...COLUMNS).map((name) => `profile.t.${name} + "c"`),
  fc.constant('profile.t'),
  fc.constant('profile.a0 + profile["a" + "1"]'),
);
const template = fc.oneof(
  reach.map((text) => `{{ ${text} }}`),
  reach.map((text) => `it's {{ ${text} }} isn't`),
);
const world = fc.record({
  marked: fc.subarray([...ATTRIBUTES, ...COLUMNS]),
  computed: fc.tuple(computed, computed, computed),
  sections: fc.array(
    fc.record({
      returns: template,
      variant: fc.option(template, { nil: undefined }),
      fallback: fc.option(template, { nil: undefined }),
      when: fc.constantFrom('true', 'false', 'profile.a0 != ""', 'audiences.in1'),
      by: reach,
      audiences: fc.boolean(),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

function yamlOf({ marked, computed: made, sections }: World): string {
  const is = (name: string) => (marked.includes(name as never) ? ', sensitive: true' : '');
  const field = (text: string) => JSON.stringify(text);
  return `segment: s
stitching: { keys: [{ name: email }] }
events: [{ name: e, when: 'true' }]
attributes:
${ATTRIBUTES.map((name) => `  - { name: ${name}, type: single, on: e, value: '1'${is(name)} }`).join('\n')}
${COMPUTED.map((name, i) => `  - { name: ${name}, type: computed, value: ${field(made[i]!)} }`).join('\n')}
batch: { tables: [{ name: t, key: email, attributes: { ${COLUMNS.map((name) => `${name}: { type: string${is(name)} }`).join(', ')} } }] }
catalogs: [{ name: rows, key: id, attributes: { said: string } }]
audiences:
  - { name: in0, when: 'profile.a0 != ""' }
  - { name: in1, when: 'profile.c1 != ""' }
personalization:
  - service: web
    public: true
    sections:
${sections
  .map(
    (section, i) => `      - name: s${i}
        when: ${field(section.when)}
        lookup: { row: { catalog: rows, by: ${field(section.by.replaceAll('lookup', 'audiences'))} } }
        audiences: ${section.audiences}
        return: { x: ${field(section.returns)} }
${section.variant === undefined ? '' : `        split: [{ name: v, percent: 50, return: { x: ${field(section.variant)} } }, { name: w, percent: 50 }]\n`}${
  section.fallback === undefined ? '' : `        fallback: { x: ${field(section.fallback)} }\n`
}`,
  )
  .join('')}`;
}

/** The file without the sections that are refused; undefined when nothing is left, or something else is wrong. */
function soundWorld(given: World): World | undefined {
  const parsed = parseSegmentConfig(yamlOf(given));
  if (parsed.kind === 'ok') return given;
  const bad = new Set(
    parsed.problems.map(({ path }) =>
      Number(/^personalization\[0\]\.sections\[(\d+)\]/.exec(path)?.[1] ?? -1),
    ),
  );
  const sections = given.sections.filter((_section, i) => !bad.has(i));
  return bad.has(-1) || sections.length === 0 ? undefined : { ...given, sections };
}

it('nothing sensitive leaves by a public service', () => {
  let answered = 0;
  let reached = 0;
  const law = fc.property(world, fc.boolean(), (given, isMember) => {
    const sound = soundWorld(given);
    if (!sound) return;
    const parsed = parseSegmentConfig(yamlOf(sound));
    if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
    const { config } = parsed;
    const markedOr = (name: string) =>
      sound.marked.includes(name as never) ? `${MARK}-${name}` : `open-${name}`;
    const profile: Profile = {
      ...makeProfile('p', { email: ['a@b.c'] }),
      attributes: Object.fromEntries(
        ATTRIBUTES.map((name) => [name, { kind: 'single', value: markedOr(name), atMs: 1, messageId: 'm' }]),
      ),
      batch: {
        t: {
          run: 1,
          atMs: 1,
          of: ['a@b.c'],
          values: Object.fromEntries(COLUMNS.map((name) => [name, markedOr(name)])),
        },
      },
      ...(isMember && { audiences: { in0: 1, in1: 1 } }),
    };
    const rule = compileServices(config).get('web')!;
    const selection = selectSections(rule, { profile, event: undefined, keys: {}, nowMs: 5 });
    const asked = JSON.stringify(selection.rows);
    const { offers } = selection.compose(({ key }) => ({ said: key }));
    const told = JSON.stringify(offers);
    expect(asked).not.toContain(MARK);
    expect(told).not.toContain(MARK);
    if (told.includes('open-')) answered++;
    if (JSON.stringify(viewProfile(profile, config, 5)).includes(MARK)) reached++;
    // Membership is told of audiences alone that are not made of anything sensitive.
    for (const name of config.withheld.audiences) expect(told).not.toContain(`"${name}"`);
  });
  fc.assert(law, { numRuns: 800 });
  // There was something to tell, and something to keep.
  expect(answered).toBeGreaterThan(80);
  expect(reached).toBeGreaterThan(80);
});

const SPLITS = `segment: s
stitching: { keys: [{ name: email }, { name: device, kind: device }] }
personalization:
  - service: web
    sections:
      - { name: one, split: [{ name: a, percent: 30 }, { name: b, percent: 30 }, { name: c, percent: 40, control: true }] }
      - { name: two, split: [{ name: a, percent: 50 }, { name: b, percent: 50 }] }
`;

function splitConfig() {
  const parsed = parseSegmentConfig(SPLITS);
  if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
  return parsed.config;
}

it('a variant that was given stays through merges in any order; of two the survivor keeps its own', () => {
  const config = splitConfig();
  const [one] = config.personalization[0]!.sections;
  const of = (profile: Profile) => variantOf(profile, 's', 'web', one!)!.name;
  let told = 0;
  const law = fc.property(
    fc.array(fc.record({ id: fc.uuid({ version: 7 }), asked: fc.boolean() }), { minLength: 2, maxLength: 5 }),
    (people) => {
      const profiles = people.map(({ id, asked }) => {
        const plain = makeProfile(id, { email: [`${id}@b.c`] });
        return asked ? withVariants(plain, 'web', config) : plain;
      });
      const merged = profiles.reduce((survivor, other) => mergeProfiles(survivor, other, config, 10));
      const firstAsked = people.findIndex(({ asked }) => asked);
      const expected = of(profiles[Math.max(0, firstAsked)]!);
      expect(of(merged)).toBe(expected);
      expect(of(withVariants(merged, 'web', config))).toBe(expected);
      if (firstAsked > 0 && of(profiles[0]!) !== expected) told++;
    },
  );
  fc.assert(law, { numRuns: 500 });
  expect(told).toBeGreaterThan(20);
});

it('variants have the parts that the config says, of each section by itself', () => {
  const config = splitConfig();
  const [one, two] = config.personalization[0]!.sections;
  const counts: Record<string, number> = {};
  const count = (name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  const people = 20_000;
  for (let n = 0; n < people; n++) {
    const profile = { id: `p-${n}` };
    const [first, second] = [one!, two!].map((section) => variantOf(profile, 's', 'web', section)!.name);
    count(`one ${first}`);
    count(`${first} ${second}`);
  }
  const part = (name: string) => (counts[name] ?? 0) / people;
  // Five standard deviations of such a count.
  const near = 5 * Math.sqrt(0.25 / people);
  for (const [name, expected] of Object.entries({
    'one a': 0.3,
    'one b': 0.3,
    'one c': 0.4,
    'a a': 0.15,
    'c b': 0.2,
  }))
    expect(Math.abs(part(name) - expected), name).toBeLessThan(near);
});
