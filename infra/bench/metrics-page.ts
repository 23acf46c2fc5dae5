// Counters of a worker, read from its metrics page.

export interface WorkerCounts {
  readonly messages: number;
  readonly commits: number;
  readonly writes: number;
  readonly bytes: number;
  readonly conflicts: number;
  readonly loaded: number;
}

const COUNTERS = {
  messages: 'stitchwork_worker_messages_total',
  commits: 'stitchwork_worker_commits_total',
  writes: 'stitchwork_worker_commit_messages_total',
  bytes: 'stitchwork_worker_commit_bytes_total',
  conflicts: 'stitchwork_worker_conflicts_total',
  loaded: 'stitchwork_worker_loaded_total',
} as const;

/** Throws when the page cannot be read. */
export async function readCounts(url: string): Promise<WorkerCounts> {
  const response = await fetch(`${url}/metrics`);
  const page = await response.text();
  if (!response.ok) throw new Error(`${url}/metrics answers ${response.status}`);
  const entries = Object.entries(COUNTERS).map(([name, metric]) => [name, sumOf(page, metric)] as const);
  return Object.fromEntries(entries) as Record<keyof WorkerCounts, number>;
}

/** Sum over all labels; 0 when there is none yet. */
export function sumOf(page: string, metric: string): number {
  let sum = 0;
  for (const line of page.split('\n')) {
    if (!line.startsWith(metric) || !/^[ {]/.test(line.slice(metric.length))) continue;
    sum += Number(line.slice(line.lastIndexOf(' ') + 1));
  }
  return sum;
}
