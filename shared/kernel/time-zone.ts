// Times of day in a time zone, through changes of its clocks.

const MINUTE_MS = 60_000;
const DAY_MIN = 1440;
/** Clocks are put forward by two hours at most. */
const JUMP_MIN_MAX = 120;
/** Of the zones that there are: a few hundred. */
const formats = new Map<string, Intl.DateTimeFormat>();

export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** `HH:MM` in minutes. */
export function minutesOf(time: string): number {
  const [hour, minute] = time.split(':').map(Number);
  return hour! * 60 + minute!;
}

/** Minutes since midnight on the clocks of a zone. */
export function minuteOfDay(ms: number, zone: string): number {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    formats.set(zone, format);
  }
  const [hour, minute] = format.format(ms).split(':').map(Number);
  return hour! * 60 + minute!;
}

/** The first moment after `fromMs` at which the clocks of a zone show `HH:MM`; one that they skip is when they jump. */
export function momentOfTime(time: string, zone: string, fromMs: number): number {
  const wanted = minutesOf(time);
  const start = wholeMinute(fromMs);
  const shown = minuteOfDay(start, zone);
  const until = (wanted - shown + DAY_MIN) % DAY_MIN || DAY_MIN;
  const at = start + until * MINUTE_MS;
  if (minuteOfDay(at, zone) === wanted && !areChanged(start, at, zone)) return at;
  // Clocks are changed in between: they are read minute by minute.
  let before = shown;
  for (let ms = start + MINUTE_MS; ; ms += MINUTE_MS) {
    const now = minuteOfDay(ms, zone);
    const jump = (now - before + DAY_MIN) % DAY_MIN;
    const ahead = (wanted - before + DAY_MIN) % DAY_MIN || DAY_MIN;
    if (now === wanted || (jump <= JUMP_MIN_MAX && ahead < jump)) return ms;
    before = now;
  }
}

/** Whether the clocks of a zone show a time from `from` to before `to`, over midnight when `to` is the earlier one. */
export function isBetween(ms: number, from: string, to: string, zone: string): boolean {
  const [now, begin, end] = [minuteOfDay(ms, zone), minutesOf(from), minutesOf(to)];
  return begin < end ? now >= begin && now < end : now >= begin || now < end;
}

/** The first moment from `fromMs` on at which the clocks of a zone show none of these times; `from` and `to` differ. */
export function momentOutside(from: string, to: string, zone: string, fromMs: number): number {
  if (!isBetween(fromMs, from, to, zone)) return fromMs;
  const start = wholeMinute(fromMs);
  const end = momentOfTime(to, zone, start);
  if (!areChanged(start, end, zone)) return end;
  let ms = start + MINUTE_MS;
  while (isBetween(ms, from, to, zone) && ms < start + 2 * DAY_MIN * MINUTE_MS) ms += MINUTE_MS;
  return ms;
}

function wholeMinute(ms: number): number {
  return Math.floor(ms / MINUTE_MS) * MINUTE_MS;
}

/** Whether the clocks of a zone ran other than time itself between two moments, two days apart at most. */
function areChanged(fromMs: number, toMs: number, zone: string): boolean {
  const ran = (minuteOfDay(toMs, zone) - minuteOfDay(fromMs, zone) + DAY_MIN) % DAY_MIN;
  return ran !== ((toMs - fromMs) / MINUTE_MS) % DAY_MIN;
}
