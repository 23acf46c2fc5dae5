// The next time of day in a time zone, through changes of its clocks.

const MINUTE_MS = 60_000;
const DAY_MIN = 1440;
const formats = new Map<string, Intl.DateTimeFormat>();

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
  const [hour, minute] = time.split(':').map(Number);
  const wanted = hour! * 60 + minute!;
  const start = Math.floor(fromMs / MINUTE_MS) * MINUTE_MS;
  let at = start + ((wanted - minuteOfDay(start, zone) + DAY_MIN) % DAY_MIN) * MINUTE_MS;
  if (at <= fromMs) at += DAY_MIN * MINUTE_MS;
  // Clocks that were changed in between: by at most two hours.
  const off = ((wanted - minuteOfDay(at, zone) + DAY_MIN + DAY_MIN / 2) % DAY_MIN) - DAY_MIN / 2;
  const mended = at + off * MINUTE_MS;
  if (mended > fromMs && minuteOfDay(mended, zone) === wanted) return mended;
  return at;
}
