// A diff of configs as text for people: one line an item, its fields and what it means below.
import type { ConfigChange, ConfigDiff } from './diff.ts';

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;
const VALUE_MAX = 120;

/** Lines; a single one when nothing changes. */
export function describeDiff({ changes }: ConfigDiff): readonly string[] {
  if (changes.length === 0) return ['nothing changes in meaning'];
  const sections = [...new Set(changes.map(({ section }) => section))];
  return sections.flatMap((section) => [
    section,
    ...changes.filter((change) => change.section === section).flatMap(describeChange),
  ]);
}

function describeChange({ kind, name, fields, effect }: ConfigChange): readonly string[] {
  return [
    `  ${SIGNS[kind]} ${name}`,
    ...fields.map(
      ({ field, before, after }) => `      ${field}: ${valueText(before)} -> ${valueText(after)}`,
    ),
    `      ${effect}`,
  ];
}

function valueText(value: unknown): string {
  if (value === null) return '(none)';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}…` : text;
}
