// Whether an archive, the record of it and the log belong together. Where they do not, nothing may be written: a wrong
// folder or a restored log would make a hole or a double that nobody sees.
import type { ArchiveRecord } from '../../shared/contract/archive-record.ts';
import type { LogState } from '../../shared/ports/event-log.ts';
import type { Manifest } from './manifest.ts';

/** Why they do not, or undefined. */
export function archiveProblem(record: ArchiveRecord, manifest: Manifest, log: LogState): string | undefined {
  const isNew = manifest.version === 0;
  // Claimed, and nothing committed yet: it begins here.
  if (isNew && record.committedAtMs === 0) return undefined;
  const giveUp = 'Give the folder back that holds it, or begin anew with `stitchwork batch archive detach`';
  if (isNew)
    return `the archive's folder is empty, but an archive was kept up to ${record.position} elsewhere. ${giveUp}`;
  if (record.archiveId !== '' && record.archiveId !== manifest.archiveId)
    return `the folder holds archive ${manifest.archiveId}, the segment's is ${record.archiveId}. ${giveUp}`;
  if (manifest.logId !== log.createdAt)
    return `the archive is of the log created at ${manifest.logId}, this one was created at ${log.createdAt}`;
  if (record.archiveId !== '' && manifest.position < record.position)
    return `the archive ends at ${manifest.position}, but had come to ${record.position}: it fell back to an older state. ${giveUp}`;
  if (manifest.position > log.lastSequence)
    return `the archive has come to ${manifest.position}, but the log ends at ${log.lastSequence}: it fell back to an older state`;
  return undefined;
}
