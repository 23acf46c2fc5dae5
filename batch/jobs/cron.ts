// The door to node-cron: what an expression means, and being woken by it. When a job is due is computed from an instant that
// is given, so that it does not depend on who was running when.
//
// A local time that the change of clocks leaves out counts at the end of the gap; one that it repeats counts once, unless the
// job runs every hour.
import { createTask, parse, type ScheduledTask, schedule, validateDetailed } from 'node-cron';

export interface Cron {
  /** The first time after `ms` at which it is due, ms. Undefined: there is none within nine years. */
  next(ms: number): number | undefined;
}

const DAYS_MAX = 366 * 9;
const DAY_MS = 86_400_000;
const HOURS = 24;
const QUIET = { info() {}, warn() {}, error() {}, debug() {} };
const QUIETLY = { logger: QUIET, suppressMissedWarning: true };

/** What is wrong with an expression or time zone; empty when nothing is. */
export function cronProblems(expression: string, timezone: string): readonly string[] {
  const parts = expression.trim().split(/\s+/).length;
  const problems =
    parts === 5 || parts === 6
      ? validateDetailed(expression).errors.map(({ message }) => message)
      : [
          `it has ${parts} ${parts === 1 ? 'part' : 'parts'}: minute, hour, day of month, month and day of week are meant`,
        ];
  return isTimezone(timezone) ? problems : [...problems, `'${timezone}' is no IANA time zone`];
}

export function isTimezone(timezone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone });
    return true;
  } catch {
    return false;
  }
}

/** Of an expression without problems. */
export function createCron(expression: string, timezone: string): Cron {
  const { second, minute, hour } = parse(expression);
  const times = { hours: ascending(hour), minutes: ascending(minute), seconds: ascending(second) };
  const days = expression.trim().split(/\s+/).slice(-3).join(' ');
  const matcher = createTask(`* * * ${days}`, () => {}, { timezone, ...QUIETLY });
  void matcher.destroy();
  const zone = zoneOf(timezone);
  return {
    next(ms) {
      const local = zone.localOf(ms);
      // A gap moves times of the evening before into the next day.
      let day = local - mod(local, DAY_MS) - DAY_MS;
      for (let i = 0; i < DAYS_MAX; i++, day += DAY_MS) {
        if (!isDay(matcher, zone, day)) continue;
        const found = firstAfter(zone, day, times, ms);
        if (found !== undefined) return found;
      }
      return undefined;
    },
  };
}

/** Calls back whenever it is due by this process's clock. The result ends that. */
export function wakeByCron(expression: string, timezone: string, wake: () => void): () => void {
  const task = schedule(expression, wake, { timezone, noOverlap: true, ...QUIETLY });
  return () => void task.destroy();
}

interface Times {
  readonly hours: readonly number[];
  readonly minutes: readonly number[];
  readonly seconds: readonly number[];
}

/** Local times are ms as if the zone were UTC. */
interface Zone {
  localOf(ms: number): number;
  /** One instant, two of a time that is repeated, the end of the gap of one that is left out. */
  instantsOf(localMs: number): readonly number[];
}

function isDay(matcher: ScheduledTask, zone: Zone, day: number): boolean {
  return matcher.match(new Date(zone.instantsOf(day + DAY_MS / 2)[0]!));
}

function firstAfter(zone: Zone, day: number, times: Times, ms: number): number | undefined {
  const isHourly = times.hours.length === HOURS;
  let first: number | undefined;
  const before = zone.localOf(ms) - 2 * 3_600_000;
  for (const hour of times.hours) {
    if (day + (hour + 1) * 3_600_000 < before) continue;
    for (const minute of times.minutes) {
      for (const second of times.seconds) {
        const all = zone.instantsOf(day + ((hour * 60 + minute) * 60 + second) * 1000);
        for (const instant of isHourly ? all : all.slice(0, 1))
          if (instant > ms && (first === undefined || instant < first)) first = instant;
      }
    }
    // Times of a later hour can be earlier only where an hour is repeated.
    if (first !== undefined && zone.localOf(first) < day + hour * 3_600_000) return first;
  }
  return first;
}

function zoneOf(timeZone: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const localOf = (ms: number) => {
    const parts: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(ms)) parts[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second) + mod(ms, 1000);
  };
  const instantsOf = (localMs: number) => {
    const offsets = [localMs - DAY_MS, localMs + DAY_MS].map((ms) => localOf(ms) - ms);
    const [before = 0, after = 0] = offsets;
    const real = [...new Set([localMs - before, localMs - after])].filter((ms) => localOf(ms) === localMs);
    if (real.length > 0) return real.sort((a, b) => a - b);
    return [endOfGap(localOf, localMs - after, localMs - before, after)];
  };
  return { localOf, instantsOf };
}

/** The first instant of an interval at which the zone has its new offset. */
function endOfGap(localOf: (ms: number) => number, from: number, to: number, offset: number): number {
  let [low, high] = [Math.min(from, to), Math.max(from, to)];
  while (high - low > 1000) {
    const middle = Math.floor((low + high) / 2000) * 1000;
    if (localOf(middle) - middle === offset) high = middle;
    else low = middle;
  }
  return high;
}

function ascending(values: readonly (number | string)[]): readonly number[] {
  return values.map(Number).sort((a, b) => a - b);
}

function mod(value: number, by: number): number {
  return ((value % by) + by) % by;
}
