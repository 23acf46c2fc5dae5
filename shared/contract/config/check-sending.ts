// Meaning of channels, activations and triggers.

import { parseDurationMs } from '../../kernel/duration.ts';
import { isZone } from '../../kernel/time-zone.ts';
import { compileTemplate, expressionsOf } from '../template.ts';
import type { MeaningCheck } from './check-meaning.ts';
import { conditionOf } from './read-sending.ts';
import type { RawSegment } from './schema.ts';
import { CROSSINGS, type RawSendRules, type RawTrigger } from './send-schemas.ts';
import type { Path } from './source-map.ts';

/** Sends of one activation or channel that a profile remembers: it cannot count further back. */
const CAP_WINDOW_MAX_MS = 400 * 86_400_000;
const PERIOD_MAX_MS = 10 * CAP_WINDOW_MAX_MS;

export function checkSending(raw: RawSegment, check: MeaningCheck): void {
  const named = (items: readonly { readonly name: string }[] = []) => items.map(({ name }) => name);
  const [destinations, channels] = [named(raw.destinations), named(raw.channels)];
  raw.channels?.forEach((channel, i) => {
    checkRules(channel, ['channels', i], check);
  });
  raw.activations?.forEach((activation, i) => {
    const path: Path = ['activations', i];
    if (activation.payload) check.template(activation.payload, [...path, 'payload']);
    check.reference(activation.channel, channels, 'channel', [...path, 'channel']);
    checkRules(activation, path, check);
    const { to } = activation;
    if (raw.destinations === undefined) return;
    if (typeof to === 'string') check.reference(to, destinations, 'destination', [...path, 'to']);
    else
      to?.forEach((each, j) => void check.reference(each, destinations, 'destination', [...path, 'to', j]));
  });
  const known = { events: named(raw.events), audiences: named(raw.audiences) };
  const activations = named(raw.activations);
  raw.triggers?.forEach((trigger, i) => {
    const path: Path = ['triggers', i];
    checkCause(trigger, path, known, check);
    check.condition(trigger.when, [...path, 'when'], typeof trigger.on === 'string' ? 'profile' : 'state');
    check.reference(trigger.activate, activations, 'activation', [...path, 'activate']);
    if (typeof trigger.once === 'string' && (parseDurationMs(trigger.once) ?? 0) > PERIOD_MAX_MS)
      check.at([...path, 'once'], 'LIMIT', 'a period of at most 4000d');
  });
}

function checkCause(
  { on }: RawTrigger,
  path: Path,
  known: { readonly events: readonly string[]; readonly audiences: readonly string[] },
  check: MeaningCheck,
): void {
  const at: Path = [...path, 'on'];
  if (typeof on === 'string') check.reference(on, known.events, 'key event', at);
  else if ('entered' in on) check.reference(on.entered, known.audiences, 'audience', [...at, 'entered']);
  else if ('left' in on) check.reference(on.left, known.audiences, 'audience', [...at, 'left']);
  else if ('crosses' in on) {
    const given = CROSSINGS.filter((name) => on[name] !== undefined);
    if (given.length !== 1)
      check.at(at, 'SHAPE', `one bound: ${CROSSINGS.join(', ')}; here ${given.join(' and ') || 'is none'}`);
    else check.condition(conditionOf(on), [...at, 'crosses'], 'state');
  } else {
    check.expression(on.at, [...at, 'at'], 'state');
    checkZone(on.zone, [...at, 'zone'], check);
    if (on.zone !== undefined && on.time === undefined)
      check.at([...at, 'zone'], 'SHAPE', "a time zone says something only with 'time'");
  }
}

function checkRules({ frequency_cap, quiet_hours, consent }: RawSendRules, path: Path, check: MeaningCheck) {
  check.condition(consent, [...path, 'consent'], 'state');
  for (const cap of [frequency_cap ?? []].flat()) {
    const ms = parseDurationMs(cap.split('/')[1]!) ?? 0;
    if (ms < 1000 || ms > CAP_WINDOW_MAX_MS)
      check.at([...path, 'frequency_cap'], 'LIMIT', `'${cap}': a time of 1s to 400d`);
  }
  if (typeof quiet_hours === 'object') checkZone(quiet_hours.zone, [...path, 'quiet_hours', 'zone'], check);
  const [from, to] =
    typeof quiet_hours === 'object' ? [quiet_hours.from, quiet_hours.to] : (quiet_hours?.split('-') ?? []);
  if (from !== undefined && from === to)
    check.at([...path, 'quiet_hours'], 'SHAPE', 'they end when they begin: that is no time at all');
}

/** A name, or text with an expression that gives one. */
export function checkZone(zone: string | undefined, path: Path, check: MeaningCheck): void {
  if (zone === undefined) return;
  const expressions = expressionsOf(zone);
  if (expressions.length === 0 && !isZone(zone))
    check.at(
      path,
      'SHAPE',
      `there is no time zone '${zone}': a name such as Europe/Berlin, or {{ profile.… }}`,
    );
  const compiled = compileTemplate(zone);
  if (compiled.kind === 'invalid') check.at(path, 'EXPRESSION', compiled.reason);
  else for (const text of expressions) check.expression(text, path, 'state');
}
