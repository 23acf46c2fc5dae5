// How far a file was replayed, kept in the data folder: one small JSON file for each file's content and segment,
// replaced whole, so that a rerun resumes after the last batch that was accepted.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Position {
  readonly v: 1;
  readonly file: string;
  readonly fileDigest: string;
  readonly url: string;
  /** Digest of the mapping: with another one the rows before the position would be other events. */
  readonly mappingDigest: string;
  /** Rows done, counted from the beginning of the file. */
  readonly rows: number;
  readonly sent: number;
  readonly broken: number;
  readonly rejected: number;
  readonly finished: boolean;
}

export interface PositionFile {
  load(): Position | undefined;
  save(position: Position): void;
  clear(): void;
  readonly path: string;
}

/** Position of a file's content in a segment. */
export function positionFile(dataDir: string, fileDigest: string, segment: string | undefined): PositionFile {
  const folder = join(dataDir, 'replay');
  const path = join(folder, `${segment ?? 'default'}-${fileDigest.slice(0, 20)}.json`);
  return {
    path,
    load() {
      if (!existsSync(path)) return undefined;
      const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
      return isPosition(parsed) && parsed.fileDigest === fileDigest ? parsed : undefined;
    },
    save(position) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(`${path}.new`, `${JSON.stringify(position)}\n`);
      renameSync(`${path}.new`, path);
    },
    clear: () => rmSync(path, { force: true }),
  };
}

function isPosition(value: unknown): value is Position {
  return (
    typeof value === 'object' &&
    value !== null &&
    'v' in value &&
    value.v === 1 &&
    'rows' in value &&
    'fileDigest' in value
  );
}
