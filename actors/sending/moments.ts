// Triggers that wait for a moment relative to one that the profile knows: when it is, and which of them have come. Each fires
// once for a moment; one that is past when it becomes known is none. Pure.
import type { TriggerConfig } from '../../shared/contract/config/segment-config.ts';
import type { Expression, ExpressionContext } from '../../shared/contract/expression.ts';
import { momentOfTime } from '../../shared/kernel/time-zone.ts';
import { expressionOf } from '../attributes/evaluate.ts';
import { type ZoneOf, zoneOf } from './rules.ts';
import type { Moment, Sending } from './states.ts';

export interface MomentRule {
  readonly trigger: string;
  readonly at: Expression;
  readonly offsetMs: number;
  readonly time: string | null;
  readonly zone: ZoneOf;
}

/** What became known so much too late fires all the same. */
export const MOMENT_GRACE_MS = 60_000;
/** What has come is remembered so long: until then a value may come back, of a profile that becomes part of this one. */
const CAME_KEPT_MS = 10 * MOMENT_GRACE_MS;
const CAME_MAX = 20;
/** Clocks are not set further ahead. */
const AHEAD_MAX_MS = 20 * 366 * 86_400_000;

export function compileMoment({ name, on }: TriggerConfig): MomentRule | undefined {
  if (!('at' in on)) return undefined;
  const { at, offsetMs, time, zone } = on;
  return { trigger: name, at: expressionOf(at), offsetMs, time, zone: zoneOf(zone) };
}

export interface Looked {
  readonly moments: Sending['moments'];
  /** Those that have come. */
  readonly due: readonly { readonly trigger: string; readonly atMs: number }[];
}

/** Moments as they are known at `nowMs`; the same reference when nothing is new. */
export function lookAtMoments(
  before: Sending['moments'],
  rules: readonly MomentRule[],
  nowMs: number,
  context: () => ExpressionContext,
): Looked {
  const moments: Record<string, Moment> = {};
  const due: { trigger: string; atMs: number }[] = [];
  let isNew = Object.keys(before).length > rules.length;
  for (const rule of rules) {
    const known = before[rule.trigger];
    const atMs = momentOf(rule, context);
    if (atMs === undefined || atMs > nowMs + AHEAD_MAX_MS) {
      if (known) isNew = true;
      continue;
    }
    let came = known?.came ?? [];
    if (!came.includes(atMs) && atMs <= nowMs) {
      // What is long past when it becomes known never comes; what was waited for comes, however late the clock rings.
      if (known?.atMs === atMs || atMs >= nowMs - MOMENT_GRACE_MS) due.push({ trigger: rule.trigger, atMs });
      came = [...came.filter((ms) => ms > nowMs - CAME_KEPT_MS), atMs].slice(-CAME_MAX);
    }
    const isSame = known?.atMs === atMs && came === known.came;
    const moment = isSame ? known : { atMs, came };
    if (!isSame) isNew = true;
    moments[rule.trigger] = moment;
  }
  return { moments: isNew ? moments : before, due };
}

function momentOf(
  { at, offsetMs, time, zone }: MomentRule,
  context: () => ExpressionContext,
): number | undefined {
  const result = at.evaluate(context());
  const value = result.kind === 'value' ? result.value : undefined;
  const ms = msOf(value);
  if (ms === undefined) return undefined;
  const moment = ms + offsetMs;
  return time === null ? moment : momentOfTime(time, zone(context), moment - 1);
}

function msOf(value: unknown): number | undefined {
  const ms =
    value instanceof Date
      ? value.getTime()
      : typeof value === 'string'
        ? Date.parse(value)
        : typeof value === 'number' || typeof value === 'bigint'
          ? Number(value)
          : Number.NaN;
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? ms : undefined;
}
