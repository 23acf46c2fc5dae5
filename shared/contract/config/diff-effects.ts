// What a change of a config means for profiles that exist, in words. Each sentence states what the engine does;
// test/unit/profile/config-change.test.ts holds it to that. Nothing is counted again, nobody is joined or parted by a config alone.

type Fields = Readonly<Record<string, unknown>>;
type Kind = 'added' | 'removed' | 'changed';

/** Of an item of a list; `before` and `after` as the engine uses them, with their defaults. */
export function effectOfItem(
  kind: Kind,
  section: string,
  before: Fields | undefined,
  after: Fields | undefined,
): string {
  if (section === 'attributes') return effectOfAttribute(kind, before, after);
  if (section === 'stitching.keys') return effectOfKey(kind, before, after);
  return (EFFECTS[section] ?? OTHER)[kind];
}

const OTHER: Readonly<Record<Kind, string>> = {
  added: 'in force from the next event of a profile on',
  removed: 'no longer in force; what it has done stays',
  changed: 'in force from the next event of a profile on',
};

const EFFECTS: Readonly<Record<string, Readonly<Record<Kind, string>>>> = {
  events: {
    added: 'recognised from now on; past events are not looked at again',
    removed: 'no longer recognised; what it fed stays as it was counted',
    changed: 'recognised by the new condition from now on; what was counted by the old one stays',
  },
  audiences: {
    added: 'starts empty: a profile is judged with its next event, and may enter it then',
    removed: 'nobody is shown in it any more; a profile leaves it with its next event',
    changed: 'memberships stay until the next event of a profile, which judges it by the new condition',
  },
  channels: {
    added:
      'its rules hold for what is sent from now on; what was sent before its activations had it is not counted',
    removed:
      'its rules hold no longer; what is held back for quiet hours is sent when they would have been over',
    changed:
      'its rules hold in their new form for what is sent from now on; what is held back keeps its time',
  },
  activations: {
    added: 'can be sent from now on',
    removed: 'no longer sent, nor is what is held back for quiet hours; what was sent stays in the log',
    changed: 'sent in the new form from now on; what was sent stays as it was',
  },
  journeys: {
    added: 'entered from now on; what happened before brings nobody in',
    removed: 'who is inside leaves with the next event or timer of the profile, with the reason config',
    changed: 'who is inside finishes by the definition by which it came in; others come in by the new one',
  },
  destinations: {
    added: 'takes deliveries of activations that are decided from now on',
    removed: 'nothing is delivered there any more; what waits is delivered if it comes back in time',
    changed: 'holds for every delivery from now on, also of what waits already',
  },
  personalization: {
    added: 'answers from now on, to whoever has a token of it',
    removed: 'answers nobody any more; a profile keeps the variants that it was given, also if it comes back',
    changed:
      'answers by the new sections at once; whoever was given a variant keeps it while there is one of that name',
  },
  triggers: {
    added: 'looked at from the next event on; with `once` it fires once for each profile from now on',
    removed: 'no longer fires; with `once`, a profile remembers that it has fired, also if it comes back',
    changed:
      'looked at in its new form from the next event on; with `once`, who had it does not get it again',
  },
};

function effectOfAttribute(kind: Kind, before: Fields | undefined, after: Fields | undefined): string {
  if ((after ?? before)?.type === 'computed') {
    if (kind === 'removed') return 'gone from answers at once; nothing was kept of it';
    if (before === undefined || before.type === 'computed')
      return 'shown at once on every profile: it is computed when somebody looks';
  }
  if (kind === 'added' || before === undefined || after === undefined) {
    return kind === 'added'
      ? 'starts empty: it takes in events from now on'
      : 'gone from answers at once; dropped from a profile with its next event, and not brought back by a rollback after that';
  }
  if (before.type !== after.type)
    return 'of another kind now: it starts anew, and what was kept is not shown any more';
  const sentences = ATTRIBUTE_FIELDS.flatMap(({ fields, effect }) =>
    fields.some((field) => !isSame(before[field], after[field])) ? [effect] : [],
  );
  return sentences.length > 0 ? sentences.join('; ') : OTHER.changed;
}

const ATTRIBUTE_FIELDS: readonly { readonly fields: readonly string[]; readonly effect: string }[] = [
  {
    fields: ['on', 'when', 'value', 'by', 'distinct', 'id', 'fields', 'entry', 'remove', 'clear', 'keep'],
    effect: 'what was counted by the old rule stays, and events count by the new one from now on',
  },
  {
    fields: ['windows'],
    effect:
      'windows that stay keep their counts; a new one starts with what the longest one knows, and may be short of older events until its own length has passed; one that goes is dropped with the next event that counts',
  },
  { fields: ['total'], effect: 'the total was kept all along, also while it was not shown' },
  {
    fields: ['ttlMs'],
    effect: 'holds for what is kept as well: what is older by the new time is gone at once',
  },
  {
    fields: ['max', 'bound'],
    effect:
      'what is beyond a lower limit goes with the next event that counts; what a lower limit dropped does not come back',
  },
  { fields: ['gapMs'], effect: 'visits that ended stay as they were; the new gap holds from now on' },
  { fields: ['aggregate'], effect: 'computed of the items that are kept, at once' },
  {
    fields: ['counts'],
    effect: 'a new count of the visit takes in events from now on',
  },
  { fields: ['merge'], effect: 'holds for profiles that merge from now on' },
  {
    fields: ['backfill'],
    effect:
      'the batch value is what it starts from at once; what a counter took in before and the batch has not counted is missing until the batch has, or it is rebuilt',
  },
  { fields: ['sensitive'], effect: 'holds for answers from now on' },
];

function effectOfKey(kind: Kind, before: Fields | undefined, after: Fields | undefined): string {
  if (kind === 'added') return 'events may carry it from now on; past events are not stitched again';
  if (kind === 'removed' || before === undefined || after === undefined)
    return 'events that carry it are refused from now on; links that it made stay, and what it joined stays joined';
  const changed = (field: string) => !isSame(before[field], after[field]);
  const sentences: string[] = [];
  if (changed('normalize') || changed('region'))
    sentences.push(
      'values are looked up in their new form; what was linked in another form is not found by it, so that such a customer may begin anew',
    );
  if (changed('limit') || changed('limitWindowMs'))
    sentences.push('profiles that hold more than a lower limit keep what they have; it holds for what comes');
  if (changed('observeOnly')) sentences.push('values that are held already stay as they were taken');
  if (
    changed('valid') ||
    changed('invalid') ||
    changed('allow') ||
    changed('minLength') ||
    changed('minDistinctChars')
  )
    sentences.push('values are judged anew when they come; those that are linked already stay linked');
  sentences.push('holds from now on, and existing links stay');
  return sentences.join('; ');
}

export function effectOfKeyOrder(): string {
  return 'from now on the strongest key in the new order decides whose an event is; existing links and merges stay';
}

export function effectOfStitching(field: string): string {
  if (field === 'retention')
    return 'a profile ends by the new time, counted from its last event: one that had an end, with its next event or at its old end; one that had none gets it with its next event';
  if (field === 'flag_after_profiles') return 'values are flagged by the new number from now on';
  return 'holds from now on; existing links and merges stay';
}

export function effectOfProtocol(): string {
  return 'holds for what SDKs send from now on; past events stay as they were taken';
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}
