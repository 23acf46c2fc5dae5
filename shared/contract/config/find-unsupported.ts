// What a valid config asks for and this version does not do yet, each by name and place.
import type { ConfigProblem } from './problem.ts';
import type { RawSegment } from './schema.ts';
import type { Path, SourceMap } from './source-map.ts';

const SECTIONS = ['personalization'] as const;

export function findUnsupported(raw: RawSegment, source: SourceMap): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const refuse = (path: Path, what: string) =>
    problems.push(
      source.problem(path, 'NOT_YET_SUPPORTED', `${what} is not supported by this version yet`, {
        atKey: true,
      }),
    );
  for (const section of SECTIONS)
    if (raw[section] !== undefined) refuse([section], `the section '${section}'`);
  return problems;
}
