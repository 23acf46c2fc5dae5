// Every identity case on the pure core: whose each event is, what is refused and why, and the profiles at the end.

import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { CommitReply } from '../../../shared/contract/event.ts';
import {
  ATTRIBUTES,
  type ByHand,
  caseConfigs,
  expectedOf,
  FEATURES,
  type IdentityCase,
  identityCases,
  keyListsOf,
  keyOf,
  timesOf,
  toldOf,
} from '../../support/identity-cases.ts';
import { parseConfig, T0 } from '../profile/harness.ts';
import { LogFold } from '../profile/log-fold.ts';

const CASES_MIN = 80;
const CASES = identityCases();
const CONFIGS = caseConfigs();
const RUN = CASES.filter(({ needs = [] }) => needs.every((need) => FEATURES.includes(need)));

function foldOf({ config }: IdentityCase): LogFold {
  const stitching = CONFIGS[config];
  if (!stitching) throw new Error(`no config ${config}`);
  return new LogFold(parseConfig(stringify({ segment: 'cases', stitching }) + ATTRIBUTES));
}

describe('identity cases', () => {
  it('are many, each with an id of its own and a reason, and use every config', () => {
    expect(CASES.length).toBeGreaterThanOrEqual(CASES_MIN);
    expect(new Set(CASES.map(({ id }) => id)).size).toBe(CASES.length);
    expect(CASES.filter(({ why }) => !why)).toEqual([]);
    expect(new Set(CASES.map(({ config }) => config))).toEqual(new Set(Object.keys(CONFIGS)));
  });

  it.each(RUN.map((one) => [`${one.theme} ${one.id}: ${one.why}`, one] as const))('%s', (_, one) => {
    const fold = foldOf(one);
    const owners = new Map<string, string>();
    one.events.forEach((event, index) => {
      const { atMs, comesMs } = timesOf(event, index);
      if (event.by_hand) {
        byHand(fold, event.by_hand, `${one.id}-${index}`, T0 + comesMs);
        return;
      }
      const told = fold.facts().length;
      const envelope = {
        v: 1,
        type: 'event',
        event: {
          messageId: event.id ?? `${one.id}-${index}`,
          name: event.name ?? 'Viewed',
          keys: event.keys,
          properties: event.properties ?? {},
          timestampMs: T0 + atMs,
          table: undefined,
        },
        replyTo: '_INBOX.cases',
      } as const;
      const sent = fold.logged(envelope, T0 + comesMs);
      const facts = fold.facts().slice(told);
      const where = `${one.id}, event ${index + 1}`;
      expect(toldOf(facts, event), where).toEqual(expectedOf(event));
      if (event.silent) expect(facts, where).toEqual([]);
      if (sent.kind !== 'applied') throw new Error(`${where}: ${sent.kind}`);
      const { profileId } = JSON.parse(Buffer.from(sent.apply.reply!.body).toString()) as CommitReply;
      noteOwner(fold, owners, event.is, profileId, where);
    });
    expect(fold.partition().map((keys) => [...keys].sort())).toEqual(sorted(one.profiles));
    for (const [key, count] of Object.entries(one.views ?? {})) {
      const [name = '', ...value] = key.split(':');
      expect(fold.view(name, value.join(':'), T0).attributes.views, `${one.id}, ${key}`).toBe(count);
    }
    for (const [key, values] of Object.entries(one.attributes ?? {})) {
      const [name = '', ...value] = key.split(':');
      const { attributes } = fold.view(name, value.join(':'), T0);
      const shown = Object.fromEntries(Object.keys(values).map((each) => [each, attributes[each] ?? null]));
      expect(shown, `${one.id}, ${key}`).toEqual(values);
    }
    expect(fold.contradictions()).toEqual([]);
  });

  it.skip(`of ${CASES.length}, ${CASES.length - RUN.length} wait for what the engine does not do yet`, () => {});
});

/** What somebody does by hand, as the gateway carries it out. */
function byHand(fold: LogFold, { split, merge, undo, not }: ByHand, id: string, nowMs: number): void {
  const idOf = (text: string) => {
    const { name, value } = keyOf(text);
    return fold.holder(name, value)?.id ?? 'nobody';
  };
  const newProfileId = `new-${id}`;
  const reply = merge
    ? fold.command(
        { kind: 'merge', from: idOf(merge.from), into: idOf(merge.into), force: merge.force },
        id,
        nowMs,
      )
    : fold.split(
        {
          kind: 'split_begin',
          profileId: idOf((split ?? undo)!.of),
          newProfileId: split
            ? newProfileId
            : fold.holder(keyOf(undo!.of).name, keyOf(undo!.of).value)!.mergedFrom.at(-1)!,
          keys: split ? keyListsOf(split.keys) : null,
          reason: 'split',
        },
        id,
        nowMs,
      );
  const reason = reply.refused?.reason;
  expect(reason === 'unknown_profile' ? 'unknown' : reason, id).toBe(not);
}

/** One letter, one profile: also when it has become part of another since. */
function noteOwner(
  fold: LogFold,
  owners: Map<string, string>,
  letter: string | undefined,
  profileId: string | null,
  where: string,
): void {
  if (letter === undefined) return;
  if (letter === 'nobody') {
    expect(profileId, where).toBeNull();
    return;
  }
  expect(profileId, where).not.toBeNull();
  const known = owners.get(letter);
  if (known) expect(fold.resolve(profileId!)?.id, where).toBe(fold.resolve(known)?.id);
  for (const [other, id] of owners)
    if (other !== letter) expect(id, `${where}: ${letter} is ${other}`).not.toBe(profileId);
  owners.set(letter, profileId!);
}

function sorted(profiles: readonly (readonly string[])[]): readonly (readonly string[])[] {
  return profiles.map((keys) => [...keys].sort()).sort((a, b) => (a.join() < b.join() ? -1 : 1));
}
