// The Prometheus text format, read strictly, and the naming rules that `promtool check metrics` applies.
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: readonly { readonly name: string; readonly labels: readonly string[] }[];
}

const UNITS: Readonly<Record<string, string>> = {
  milliseconds: 'seconds',
  ms: 'seconds',
  minutes: 'seconds',
  hours: 'seconds',
  kilobytes: 'bytes',
  megabytes: 'bytes',
  mb: 'bytes',
  bits: 'bytes',
  percent: 'ratio',
};
const TYPES = ['counter', 'gauge', 'histogram', 'summary'];

/** Reads a scrape. Throws on a line that is not well formed, and on a family that is there twice. */
export function readScrape(text: string): readonly Family[] {
  const families = new Map<
    string,
    { name: string; help: string; type: string; samples: Family['samples'][number][] }
  >();
  let current: { name: string; help: string; type: string; samples: Family['samples'][number][] } | undefined;
  for (const line of text.split('\n').filter((candidate) => candidate !== '')) {
    const help = /^# HELP (\S+) (.*)$/.exec(line);
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (help) {
      if (families.has(help[1]!)) throw new Error(`${help[1]} is there twice`);
      current = { name: help[1]!, help: help[2]!, type: 'untyped', samples: [] };
      families.set(current.name, current);
    } else if (type && current !== undefined && current.name === type[1]) current.type = type[2]!;
    else if (sample && current && isOf(sample[1]!, current.name)) {
      const labels = [...(sample[2] ?? '').matchAll(/([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"/g)].map(
        (match) => match[1]!,
      );
      current.samples.push({ name: sample[1]!, labels });
    } else throw new Error(`not well formed, or out of place: ${line}`);
  }
  return [...families.values()];
}

function isOf(sample: string, family: string): boolean {
  return sample === family || ['_bucket', '_sum', '_count'].some((suffix) => sample === `${family}${suffix}`);
}

/** What is wrong with the names of a family. */
export function lint({ name, help, type, samples }: Family): readonly string[] {
  const problems: string[] = [];
  const say = (what: string) => problems.push(`${name}: ${what}`);
  if (help.trim() === '' || !/[.]$/.test(help)) say('HELP must be a sentence');
  if (!TYPES.includes(type)) say(`type ${type}`);
  if (type === 'counter' && !name.endsWith('_total')) say('a counter ends with _total');
  if (type !== 'counter' && name.endsWith('_total')) say('only a counter ends with _total');
  if (/(_count|_sum|_bucket|_info)$/.test(name) && !(type === 'gauge' && name.endsWith('_info')))
    say('reserved suffix');
  if (!/^[a-z][a-z0-9_]*$/.test(name)) say('snake_case, no colon');
  if (new RegExp(`_(${TYPES.join('|')})(_|$)`).test(name)) say('the type is not part of the name');
  for (const part of name.split('_')) if (UNITS[part]) say(`use ${UNITS[part]} instead of ${part}`);
  if (type === 'histogram' && !/_(seconds|bytes|messages|events)$/.test(name)) say('a histogram has a unit');
  const base = name.replace(/_total$/, '');
  if (/_(seconds|bytes|ratio)_/.test(`${base}_`) && !/_(seconds|bytes|ratio)$/.test(base))
    say('the unit comes last');
  for (const label of new Set(samples.flatMap((sample) => sample.labels))) {
    if (!/^[a-z][a-z0-9_]*$/.test(label)) say(`label ${label} is not snake_case`);
    if (['shard', 'profile', 'key', 'message_id'].includes(label)) say(`label ${label} has too many values`);
  }
  return problems;
}
