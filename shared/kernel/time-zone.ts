// Times of day in a time zone, through changes of its clocks.

const MINUTE_MS = 60_000;
const DAY_MIN = 1440;
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
  const start = Math.floor(fromMs / MINUTE_MS) * MINUTE_MS;
  let at = start + ((wanted - minuteOfDay(start, zone) + DAY_MIN) % DAY_MIN) * MINUTE_MS;
  if (at <= fromMs) at += DAY_MIN * MINUTE_MS;
  // Clocks that were changed in between: by at most two hours.
  const off = ((wanted - minuteOfDay(at, zone) + DAY_MIN + DAY_MIN / 2) % DAY_MIN) - DAY_MIN / 2;
  const mended = at + off * MINUTE_MS;
  if (mended > fromMs && minuteOfDay(mended, zone) === wanted) return mended;
  if (off === 0) return at;
  // The clocks skip it: then it is when they jump.
  const isPast = (ms: number) => (minuteOfDay(ms, zone) - wanted + DAY_MIN) % DAY_MIN < DAY_MIN / 2;
  for (let ms = Math.max(mended, start + MINUTE_MS); ms < at; ms += MINUTE_MS) if (isPast(ms)) return ms;
  return at;
}
