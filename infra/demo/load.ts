// Sends the demo's events to the gateway in their order, in batches, as any client would.
import { systemClock } from '../../shared/kernel/clock.ts';
import { systemRandom } from '../../shared/kernel/random.ts';
import { type ApiTarget, apiFetch } from '../cli/api-client.ts';
import { sendBatch } from '../replay/send.ts';
import type { DemoEvent } from './events.ts';

const BATCH_EVENTS = 500;
const GIVE_UP_AFTER_MS = 30_000;

/** Sends everything. Returns how many were accepted; throws when one was not. */
export async function sendAll(
  target: ApiTarget,
  events: AsyncIterable<DemoEvent>,
  onBatch: (sent: number) => void,
): Promise<number> {
  let sent = 0;
  let batch: DemoEvent[] = [];
  const flush = async () => {
    await sendOne(target, batch);
    sent += batch.length;
    batch = [];
    onBatch(sent);
  };
  for await (const event of events) {
    batch.push(event);
    if (batch.length === BATCH_EVENTS) await flush();
  }
  if (batch.length > 0) await flush();
  return sent;
}

async function sendOne(target: ApiTarget, batch: readonly DemoEvent[]): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const post = async (body: string) => {
    const response = await apiFetch(target, '/v1/events', { method: 'POST', body, headers });
    const retryAfter = response.headers.get('retry-after') ?? undefined;
    return { status: response.status, retryAfter, body: await response.text() };
  };
  const deps = { post, clock: systemClock, random: systemRandom, onRetry: () => {} };
  const signal = new AbortController().signal;
  const outcome = await sendBatch(batch, deps, { giveUpAfterMs: GIVE_UP_AFTER_MS, signal });
  if (outcome.kind === 'refused')
    throw new Error(`the gateway refused a batch: ${outcome.status} ${outcome.body}`);
  const bad = outcome.rejected[0];
  if (bad) throw new Error(`the gateway rejected ${batch[bad.index]?.messageId}: ${bad.code} ${bad.message}`);
}
