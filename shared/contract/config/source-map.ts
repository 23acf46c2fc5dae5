// Places in a YAML document: from a path of keys and indexes to line and column.
import { isMap, isPair, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { ConfigProblem } from './problem.ts';

export type Path = readonly (string | number)[];

export interface SourceMap {
  readonly value: unknown;
  readonly syntaxProblems: readonly ConfigProblem[];
  /** A problem at the value that stands at a path (or its nearest parent), or at the key itself. */
  problem(
    path: Path,
    code: ConfigProblem['code'],
    message: string,
    options?: { readonly suggestion?: string | undefined; readonly atKey?: boolean },
  ): ConfigProblem;
}

const FIRST_PLACE = { line: 1, col: 1 };

export function mapSource(yaml: string): SourceMap {
  const lines = new LineCounter();
  const document = parseDocument(yaml, { lineCounter: lines, uniqueKeys: true });
  const placeOf = (offset: number | undefined) =>
    offset === undefined ? FIRST_PLACE : lines.linePos(offset);
  const syntaxProblems = document.errors.map((error): ConfigProblem => {
    const { line, col } = placeOf(error.pos[0]);
    return { line, column: col, path: '', code: 'SYNTAX', message: error.message.split('\n')[0]! };
  });
  return {
    value: syntaxProblems.length > 0 ? undefined : document.toJS(),
    syntaxProblems,
    problem(path, code, message, { suggestion, atKey } = {}) {
      const { line, col } = placeOf(offsetOf(document, path, atKey ?? false));
      const problem = { line, column: col, path: textOf(path), code, message };
      return suggestion === undefined ? problem : { ...problem, suggestion };
    },
  };
}

/** `stitching.keys[1].valid` */
function textOf(path: Path): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text ? `${text}.${part}` : part),
    '',
  );
}

function offsetOf(
  document: ReturnType<typeof parseDocument>,
  path: Path,
  atKey: boolean,
): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const parent = length > 1 ? document.getIn(path.slice(0, length - 1), true) : document.contents;
    const last = path[length - 1]!;
    if (atKey && length === path.length && isMap(parent)) {
      const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === last);
      const key = pair?.key as Node | undefined;
      if (key?.range) return key.range[0];
    }
    const node = document.getIn(path.slice(0, length), true) as Node | undefined;
    if (node?.range) return node.range[0];
  }
  return (document.contents as Node | null)?.range?.[0];
}
