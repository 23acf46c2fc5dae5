// Meaning of the stitching section: fields of a key that do nothing, or contradict one another, are refused.
import { didYouMean } from '../../kernel/edit-distance.ts';
import { junkForm, patternIn } from '../junk-form.ts';
import { patternProblem } from '../pattern.ts';
import { isPhoneRegion } from '../phone.ts';
import { kindOf } from './key-limit.ts';
import type { ConfigProblem } from './problem.ts';
import type { RawKey, RawSegment } from './schema.ts';
import type { Path, SourceMap } from './source-map.ts';

type RawStitching = RawSegment['stitching'];
type Report = (
  path: Path,
  code: ConfigProblem['code'],
  message: string,
  options?: { readonly suggestion?: string | undefined; readonly atKey?: boolean },
) => void;

/** Names that a stitching key cannot have, since addresses of the API use them. */
const RESERVED_KEYS = new Set(['id']);

/** Most characters, and most different ones, that a normalizer lets a value have. */
const CHARS_MAX = {
  digits: { length: Number.POSITIVE_INFINITY, distinct: 10 },
  e164: { length: 16, distinct: 11 },
} as const;

/** `isPartial`: of some keys only the name is known, so that nothing is said of the section as a whole. */
export function checkStitching(
  stitching: RawStitching,
  source: SourceMap,
  isPartial: boolean,
): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const report: Report = (path, code, message, options) =>
    problems.push(source.problem(['stitching', ...path], code, message, options));
  stitching.keys.forEach((key, i) => {
    checkKey(key, ['keys', i], report);
    checkLinks(key, stitching.keys, ['keys', i, 'links'], report);
  });
  checkEntries(stitching.invalid ?? [], ['invalid'], report);
  checkLogout(stitching.logout ?? [], report);
  if (!isPartial) checkWhole(stitching, report);
  return problems;
}

function checkKey(key: RawKey, path: Path, report: Report): void {
  if (RESERVED_KEYS.has(key.name)) report([...path, 'name'], 'NAME', `'${key.name}' is reserved`);
  checkNormalize(key, path, report);
  checkRegion(key, path, report);
  checkSizes(key, path, report);
  if (key.valid !== undefined) checkPattern(key.valid, [...path, 'valid'], report);
  checkEntries(key.invalid ?? [], [...path, 'invalid'], report);
  checkEntries(key.allow ?? [], [...path, 'allow'], report);
  checkContradictions(key, path, report);
  checkOwner(key, path, report);
  checkObserved(key, path, report);
}

function checkNormalize({ normalize = [] }: RawKey, path: Path, report: Report): void {
  normalize.forEach((name, i) => {
    const at = [...path, 'normalize', i];
    if (name === 'sha256' && i < normalize.length - 1) {
      const last = [...normalize.filter((other) => other !== 'sha256'), 'sha256'];
      const suggestion = `[${last.join(', ')}]`;
      report(at, 'SHAPE', 'sha256 comes last: nothing can be made of a hash', { suggestion });
    }
    if (name === 'digits' && normalize.includes('e164')) {
      const suggestion = `[${normalize.filter((other) => other !== 'digits').join(', ')}]`;
      report(at, 'SHAPE', 'digits takes away the + that e164 needs; e164 does without', { suggestion });
    }
  });
}

function checkRegion({ region, normalize = [] }: RawKey, path: Path, report: Report): void {
  if (region === undefined) return;
  const at = [...path, 'region'];
  if (!isPhoneRegion(region)) {
    const suggestion = region === 'UK' ? 'GB' : undefined;
    report(at, 'REFERENCE', `no phone numbers are known for the region '${region}' (ISO 3166-1)`, {
      suggestion,
    });
  }
  if (normalize.includes('e164')) return;
  const suggestion = `normalize: [${[...normalize.filter((name) => name !== 'digits'), 'e164'].join(', ')}]`;
  report(at, 'SHAPE', "'region' is for phone numbers: it needs e164 in 'normalize'", { suggestion });
}

/** Sizes that no value can have. */
function checkSizes(key: RawKey, path: Path, report: Report): void {
  for (const name of ['digits', 'e164'] as const) {
    if (!key.normalize?.includes(name)) continue;
    const { length, distinct } = CHARS_MAX[name];
    if ((key.min_length ?? 1) > length)
      report([...path, 'min_length'], 'SHAPE', `a value after ${name} has at most ${length} characters`);
    if ((key.min_distinct_chars ?? 1) > distinct) {
      const message = `a value after ${name} has at most ${distinct} different characters`;
      report([...path, 'min_distinct_chars'], 'SHAPE', message);
    }
  }
}

function checkPattern(text: string, path: Path, report: Report): void {
  const problem = patternProblem(text);
  if (problem !== undefined) report(path, 'PATTERN', problem);
}

/** Entries of a list of values: literals, and `/patterns/`. */
function checkEntries(entries: readonly string[], path: Path, report: Report): void {
  const seen = new Set<string>();
  entries.forEach((entry, i) => {
    const pattern = patternIn(entry);
    if (pattern !== undefined) checkPattern(pattern, [...path, i], report);
    else if (junkForm(entry) === '') report([...path, i], 'SHAPE', 'an empty value is never taken for an id');
    else if (/^\/.+\/[dgimsuvy]{1,4}$/.test(entry)) {
      const suggestion = entry.replace(/[a-z]+$/, '');
      report([...path, i], 'PATTERN', 'a pattern has no flags: case never counts', { suggestion });
    }
    const form = entryForm(entry);
    if (seen.has(form)) report([...path, i], 'DUPLICATE', `'${entry}' is in the list twice`);
    seen.add(form);
  });
}

function entryForm(entry: string): string {
  return patternIn(entry) === undefined ? junkForm(entry) : entry;
}

function checkContradictions({ invalid = [], allow = [] }: RawKey, path: Path, report: Report): void {
  const refused = new Set(invalid.map(entryForm));
  allow.forEach((entry, i) => {
    if (!refused.has(entryForm(entry))) return;
    report([...path, 'allow', i], 'DUPLICATE', `'${entry}' is under 'invalid' of the same key`);
  });
}

function checkOwner(key: RawKey, path: Path, report: Report): void {
  if (key.owner === undefined || key.observe_only === true || kindOf(key) !== 'person') return;
  const why = key.kind === undefined ? ' (its limit is 1); for another kind say so: kind: contact' : '';
  report([...path, 'owner'], 'SHAPE', `'owner' is for devices and contacts, and this key is a person${why}`);
}

/** What tells how a key joins says nothing of one that never does. */
function checkObserved(key: RawKey, path: Path, report: Report): void {
  if (key.observe_only !== true) return;
  for (const field of ['limit', 'links', 'owner'] as const) {
    if (key[field] === undefined) continue;
    const message = `'${field}' does nothing here: an observe_only key never joins profiles`;
    report([...path, field], 'SHAPE', message, { atKey: true });
  }
}

function checkLinks(key: RawKey, keys: readonly RawKey[], path: Path, report: Report): void {
  const others = keys.filter(({ name }) => name !== key.name);
  for (const name of Object.keys(key.links ?? {})) {
    const at = [...path, name];
    const other = others.find((one) => one.name === name);
    if (name === key.name)
      report(at, 'REFERENCE', `'${name}' is the key itself: use 'limit'`, { atKey: true });
    else if (!other) {
      const names = others.map((one) => one.name);
      const suggestion = didYouMean(name, names);
      report(at, 'REFERENCE', `there is no stitching key '${name}'`, { suggestion, atKey: true });
    } else if (other.observe_only === true)
      report(at, 'REFERENCE', `'${name}' is observe_only: it is never joined with anything`, { atKey: true });
  }
}

function checkLogout(logout: readonly string[], report: Report): void {
  logout.forEach((name, i) => {
    const at = ['logout', i];
    if (name.trim() === '') report(at, 'NAME', "an event has a name: 'logout' lists names of events");
    else if (logout.indexOf(name) < i) report(at, 'DUPLICATE', `'${name}' is in the list twice`);
  });
}

/** What the section as a whole could not do. */
function checkWhole({ keys, logout = [] }: RawStitching, report: Report): void {
  const joining = keys.filter((key) => key.observe_only !== true);
  if (joining.length === 0)
    report(['keys'], 'SHAPE', 'every key is observe_only: nothing could find a profile');
  const kinds = new Set(joining.map(kindOf));
  if (logout.length > 0 && !kinds.has('device'))
    report(['logout'], 'SHAPE', "'logout' frees the device keys of an event, and no key is a device");
  keys.forEach((key, i) => {
    if (key.owner !== 'last_authenticated' || kinds.has('person')) return;
    const message = 'last_authenticated moves a key to a person, and no key is of kind person (limit: 1)';
    report(['keys', i, 'owner'], 'SHAPE', message);
  });
}
