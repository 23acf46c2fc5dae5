// Which files a reading needs, in the order of the log. Pure. Files whose sequences run into one another (the server's clock
// went back over the turn of an hour) are read together, sorted.
import type { HistoryQuery } from '../../shared/ports/event-history.ts';
import type { ArchiveFile, Manifest } from './manifest.ts';

/** Groups of files that follow one another, each group to be read as one. */
export function clustersOf(
  manifest: Manifest,
  { fromTimeMs = Number.NEGATIVE_INFINITY, toTimeMs = Number.POSITIVE_INFINITY }: HistoryQuery,
  from: number,
  upTo: number,
): readonly (readonly ArchiveFile[])[] {
  const clusters: ArchiveFile[][] = [];
  let end = Number.NEGATIVE_INFINITY;
  const files = [...manifest.files.values()].filter(
    (file) => file.last >= from && file.first <= upTo && file.toMs >= fromTimeMs && file.fromMs < toTimeMs,
  );
  for (const file of files.sort((a, b) => a.first - b.first)) {
    const cluster = clusters.at(-1);
    if (cluster && file.first <= end) cluster.push(file);
    else clusters.push([file]);
    end = Math.max(end, file.last);
  }
  return clusters;
}
