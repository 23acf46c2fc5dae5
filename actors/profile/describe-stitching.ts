// A comparison of two configs over events as text for people.
import type { ExampleGroup, KeysSent, Regrouping, StitchingComparison } from './compare-stitching.ts';

/** Lines. */
export function describeStitching(found: StitchingComparison): readonly string[] {
  const { events, profiles, join, part, nobody } = found;
  const lines = [
    `stitching of the last ${events} events, from nothing: ${profiles.before} profiles before, ${profiles.after} after`,
    `  ${join.count} profiles would take in several of before`,
    ...join.examples.flatMap(describeRegrouping),
    `  ${part.count} profiles of before would part`,
    ...part.examples.flatMap(describeRegrouping),
  ];
  if (nobody.anyMore > 0) lines.push(`  ${nobody.anyMore} events would identify nobody any more`);
  if (nobody.noMore > 0) lines.push(`  ${nobody.noMore} events would identify somebody, and do not now`);
  return lines;
}

function describeRegrouping({ whole, parts, partCount }: Regrouping): readonly string[] {
  const more = partCount > parts.length ? [`        and ${partCount - parts.length} more`] : [];
  return [`      ${describeGroup(whole)}`, ...parts.map((one) => `        ${describeGroup(one)}`), ...more];
}

function describeGroup({ events, keys }: ExampleGroup): string {
  return `${keysText(keys)} (${events} event${events === 1 ? '' : 's'})`;
}

function keysText(keys: KeysSent): string {
  return Object.entries(keys)
    .flatMap(([name, values]) => values.map((value) => `${name}:${value}`))
    .join('  ');
}
