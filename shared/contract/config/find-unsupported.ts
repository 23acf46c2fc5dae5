// What a valid config asks for and this version does not do yet, each by name and place.
import type { ConfigProblem } from './problem.ts';
import type { RawSegment } from './schema.ts';
import type { Path, SourceMap } from './source-map.ts';

const ACTIVATION_FIELDS = ['frequency_cap', 'quiet_hours'] as const;

export function findUnsupported(raw: RawSegment, source: SourceMap): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const refuse = (path: Path, what: string) =>
    problems.push(
      source.problem(path, 'NOT_YET_SUPPORTED', `${what} is not supported by this version yet`, {
        atKey: true,
      }),
    );
  const refuseFields = (item: Readonly<Record<string, unknown>>, fields: readonly string[], path: Path) => {
    for (const field of fields) if (item[field] !== undefined) refuse([...path, field], `'${field}'`);
  };
  raw.activations?.forEach((activation, i) => {
    refuseFields(activation, ACTIVATION_FIELDS, ['activations', i]);
  });
  return problems;
}
