// Views for a report, export or graph over the real streams and the archive of a data folder.
import { existsSync } from 'node:fs';
import { join, resolve as resolvePath } from 'node:path';
import { createLocalFolder } from '../batch/archive/local-folder.ts';
import type { OpenViewsDeps } from '../batch/query/open-views.ts';
import type { SegmentConfig } from '../shared/contract/config/segment-config.ts';
import type { SegmentNames } from '../shared/contract/names.ts';
import { systemRandom } from '../shared/kernel/random.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { createKeptMessages } from '../shared/nats/kept-messages.ts';
import { createStoredRows } from '../shared/nats/stored-rows.ts';
import { archiveFolder } from './archive-folder.ts';

const SCRATCH_FOLDER = '.queries';
const THREADS = 2;

/** Without an archive in the data folder there are no events to be seen. */
export function viewDeps(
  door: NatsDoor,
  names: SegmentNames,
  config: SegmentConfig,
  dataDir: string,
): OpenViewsDeps {
  const root = archiveFolder(dataDir, names.segment);
  return {
    config,
    stored: createStoredRows(door, names),
    kept: createKeptMessages(door, names),
    storage: createLocalFolder(root),
    random: systemRandom,
    // Hard links to files of the archive need its file system.
    scratch: existsSync(root) ? join(root, SCRATCH_FOLDER) : resolvePath(dataDir, 'tmp', 'queries'),
    threads: THREADS,
  };
}
