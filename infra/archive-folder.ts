// Where the archive of a segment is kept.
import { resolve as resolvePath } from 'node:path';

export function archiveFolder(dataDir: string, segment: string): string {
  return resolvePath(dataDir, 'archive', segment);
}
