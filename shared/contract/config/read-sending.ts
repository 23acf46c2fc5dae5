// Channels, activations and triggers of a checked config file.
import { parseDurationMs } from '../../kernel/duration.ts';
import type { RawSegment } from './schema.ts';
import type {
  ActivationConfig,
  ChannelConfig,
  FrequencyCap,
  QuietHours,
  SendRules,
  TriggerCause,
  TriggerConfig,
} from './segment-config.ts';
import {
  CROSSINGS,
  type Crossing,
  type RawActivation,
  type RawChannel,
  type RawCrossing,
  type RawSendRules,
  type RawTrigger,
} from './send-schemas.ts';

const OPERATORS: Readonly<Record<Crossing, string>> = {
  above: '>',
  at_least: '>=',
  below: '<',
  at_most: '<=',
};
const DEFAULT_ZONE = 'UTC';

export function readChannel(raw: RawChannel): ChannelConfig {
  return { name: raw.name, ...sendRulesOf(raw) };
}

export function readActivation(raw: RawActivation, { destinations = [] }: RawSegment): ActivationConfig {
  // A destination that is not declared is none: what it was once meant for is not sent later.
  const declared = (destination: string) => destinations.some((known) => known.name === destination);
  const { name, to, payload = {}, channel = null } = raw;
  return { name, to: [to ?? []].flat().filter(declared), payload, channel, ...sendRulesOf(raw) };
}

function sendRulesOf({ frequency_cap, quiet_hours, consent }: RawSendRules): SendRules {
  return {
    caps: [frequency_cap ?? []].flat().map(capOf),
    quiet: quiet_hours === undefined ? null : quietOf(quiet_hours),
    consent: consent ?? null,
  };
}

function capOf(text: string): FrequencyCap {
  const [count, time] = text.split('/');
  return { count: Number(count), ms: parseDurationMs(time!)! };
}

function quietOf(raw: NonNullable<RawSendRules['quiet_hours']>): QuietHours {
  if (typeof raw !== 'string') return { from: raw.from, to: raw.to, zone: raw.zone ?? DEFAULT_ZONE };
  const [from, to] = raw.split('-');
  return { from: from!, to: to!, zone: DEFAULT_ZONE };
}

export function readTrigger({ name, on, when, once, priority, activate }: RawTrigger): TriggerConfig {
  return {
    name,
    on: causeOf(on),
    when: when ?? null,
    once: once !== undefined && once !== false,
    everyMs: typeof once === 'string' ? parseDurationMs(once)! : null,
    priority: priority ?? 0,
    activate,
  };
}

function causeOf(on: RawTrigger['on']): TriggerCause {
  if (typeof on === 'string') return { event: on };
  if ('crosses' in on) {
    const falls = on.below !== undefined || on.at_most !== undefined;
    return { becomes: conditionOf(on), falls };
  }
  if (!('at' in on)) return on;
  const { at, offset = '', time = null, zone = DEFAULT_ZONE } = on;
  const ms = parseDurationMs(offset.replace(/^[+-]/, '')) ?? 0;
  return { at, offsetMs: offset.startsWith('-') ? -ms : ms, time, zone };
}

/** The bound as a condition: it is crossed when it becomes true. */
export function conditionOf(on: RawCrossing): string {
  const crossing = CROSSINGS.find((each) => on[each] !== undefined) ?? 'above';
  return `(${on.crosses}) ${OPERATORS[crossing]} (${on[crossing] ?? 0})`;
}
