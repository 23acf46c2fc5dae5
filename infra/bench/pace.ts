// Open loop: requests leave by a schedule that does not wait for answers, and each latency counts from the moment at
// which the schedule wanted the request to leave. A slow answer therefore shows in those behind it, too.

export interface Pace {
  readonly ratePerSecond: number;
  readonly count: number;
  /** Aborted, it ends before its count is reached. */
  readonly until?: AbortSignal;
}

export interface Timer {
  nowMs(): number;
  /** Resolves at the moment, or as soon after it as it can. */
  waitUntil(atMs: number): Promise<void>;
}

/** Calls `send` by the schedule. What is late is sent at once, none is left out. Resolves when all were sent, or it ends. */
export async function openLoop(
  pace: Pace,
  timer: Timer,
  send: (index: number, intendedMs: number) => void,
): Promise<void> {
  const startMs = timer.nowMs();
  for (let index = 0; index < pace.count && !pace.until?.aborted; index++) {
    const intendedMs = startMs + (index * 1000) / pace.ratePerSecond;
    if (timer.nowMs() < intendedMs) await timer.waitUntil(intendedMs);
    send(index, intendedMs);
  }
}

/** Runs `send` by the schedule and collects its latencies, from the intended moment to its end. */
export async function measureOpenLoop(
  pace: Pace,
  timer: Timer,
  send: (index: number) => Promise<boolean>,
): Promise<{ readonly latenciesMs: readonly number[]; readonly failed: number }> {
  const latenciesMs: number[] = [];
  const running: Promise<void>[] = [];
  let failed = 0;
  await openLoop(pace, timer, (index, intendedMs) => {
    const one = send(index).then((ok) => {
      if (ok) latenciesMs.push(timer.nowMs() - intendedMs);
      else failed += 1;
    });
    running.push(one);
  });
  await Promise.all(running);
  return { latenciesMs, failed };
}
