// Segment config files: read, parsed, and refused by name when they ask for what this version does not do.
import { readFile } from 'node:fs/promises';
import { parseSegmentConfig } from '../shared/contract/config/parse.ts';
import type { ConfigProblem } from '../shared/contract/config/problem.ts';
import type { SegmentConfig } from '../shared/contract/config/segment-config.ts';
import { errorText, StitchworkError } from '../shared/kernel/errors.ts';

export interface SegmentSource {
  readonly config: SegmentConfig;
  readonly digest: string;
  readonly yaml: string;
}

export interface SegmentText {
  readonly source: SegmentSource | undefined;
  /** Everything that is in the way of running it; empty when `source` is there. */
  readonly problems: readonly ConfigProblem[];
}

/** Reads the text of a segment config. */
export function readSegmentText(yaml: string): SegmentText {
  const parsed = parseSegmentConfig(yaml);
  if (parsed.kind === 'invalid') return { source: undefined, problems: parsed.problems };
  return { source: { config: parsed.config, digest: parsed.digest, yaml }, problems: [] };
}

/** Reads config files. Throws INVALID_CONFIG with every problem of every file. */
export async function loadSegmentFiles(paths: readonly string[]): Promise<readonly SegmentSource[]> {
  const problems: string[] = [];
  const sources: SegmentSource[] = [];
  for (const path of paths) {
    const { source, problems: found } = readSegmentText(await readConfigFile(path));
    problems.push(...found.map((problem) => `${path}:${describeProblem(problem)}`));
    if (!source) continue;
    if (sources.some((other) => other.config.segment === source.config.segment)) {
      problems.push(`${path}: segment ${source.config.segment} is in another file already`);
    }
    sources.push(source);
  }
  if (problems.length > 0) {
    throw new StitchworkError('INVALID_CONFIG', problems.join('\n'), { details: problems });
  }
  return sources;
}

/** `line:column: path: message`, as editors understand it after a file name. */
export function describeProblem(problem: ConfigProblem): string {
  const meant = problem.suggestion ? ` (did you mean ${problem.suggestion}?)` : '';
  return `${problem.line}:${problem.column}: ${problem.path}: ${problem.message}${meant}`;
}

async function readConfigFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new StitchworkError('NOT_FOUND', `cannot read the config file ${path}: ${errorText(error)}`, {
      cause: error,
    });
  }
}
