// The second half of a split: waits until the log is applied up to a point after its beginning, reads the log up to there,
// counts for each side what its events of before the split come to, and appends it as a command. May be done again by
// anybody at any time: a side that is filled takes nothing more.
import type { Link } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { idsOfLink, linkOfEvent, linksOfSide, Refold, type RefoldSide } from '../../actors/profile/refold.ts';
import { compileRules } from '../../actors/profile/rules.ts';
import type { ActorMessage } from '../../shared/contract/actor.ts';
import type { SplitFillCommand } from '../../shared/contract/command.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { awaitApplied } from '../../shared/ports/await-applied.ts';
import type { LogMessage } from '../../shared/ports/event-log.ts';
import type { GatewaySegment } from '../deps.ts';
import { inLanes } from './in-lanes.ts';
import { livingProfile } from './living-profile.ts';
import { sendCommand } from './send-command.ts';

export interface SplitToFinish {
  readonly splitId: string;
  readonly profileIds: readonly string[];
  readonly by: string;
}

export interface FinishOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const APPLIED_TIMEOUT_MS = 60_000;
const FILL_WAIT_MS = 10_000;
/** Shards are applied independently: what was applied later may have been sent this much before the profile's beginning. */
const EARLIER_MS = 86_400_000;

/**
 * Gives the log time from which on events were there, when the profiles go back further. Throws STORE_UNAVAILABLE,
 * LOG_UNAVAILABLE, NOT_READY: then it is to be done again.
 */
export async function finishSplit(
  segment: GatewaySegment,
  split: SplitToFinish,
  options: FinishOptions,
): Promise<{ readonly keptFromMs: number | undefined }> {
  if ((await openSides(segment, split)).length === 0) return { keptFromMs: undefined };
  // The beginning is committed: what was applied before it stands before this end.
  const { lastSequence: upTo } = await segment.log.state();
  await awaitApplied(segment, upTo, { ...options, timeoutMs: APPLIED_TIMEOUT_MS });
  const sides = await openSides(segment, split);
  if (sides.length === 0) return { keptFromMs: undefined };
  const refolds: Refold[] = [];
  await inLanes(sides, async (side, index) => {
    refolds[index] = await refoldOf(segment, side);
  });
  const keptFromMs = await feed(segment, sides, refolds, upTo, options);
  const fill = async ({ rebuilding }: RefoldSide, index: number) => {
    const { splitId, by } = split;
    const { profileId } = rebuilding;
    const command: SplitFillCommand = {
      kind: 'split_fill',
      splitId,
      profileId,
      ...refolds[index]!.result(),
      ...(keptFromMs !== undefined && { keptFromMs }),
    };
    const mark = { id: splitId, by, atMs: options.clock.nowMs() };
    const reply = await sendCommand(segment, command, mark, FILL_WAIT_MS);
    if (!reply) throw new StitchworkError('NOT_READY', `profile ${profileId} was not filled in time`);
    if (reply.code)
      throw new StitchworkError('INTERNAL', `profile ${profileId} cannot be filled: ${reply.code}`);
  };
  await inLanes(sides, fill);
  return { keptFromMs };
}

/** The sides that are still to be filled, each as the profile that it is now. */
async function openSides(
  { store }: GatewaySegment,
  { splitId, profileIds }: SplitToFinish,
): Promise<readonly RefoldSide[]> {
  const sides: RefoldSide[] = [];
  await inLanes(profileIds, async (id) => {
    const profile = await livingProfile(store, id);
    const rebuilding = profile?.rebuilding?.find((part) => part.splitId === splitId && part.profileId === id);
    if (profile && rebuilding) sides.push({ profile, rebuilding });
  });
  return sides;
}

async function refoldOf(segment: GatewaySegment, side: RefoldSide): Promise<Refold> {
  const { store, shards } = segment;
  const keys = linksOfSide(side);
  const records = await store.read(keys, 'leader');
  const links = new Map<string, Link | null>();
  for (const key of keys) {
    const value = records.get(key)?.value ?? null;
    links.set(key, value && (decodeRecord(key, value) as Link));
  }
  const living = new Map<string, string>();
  for (const id of new Set([...links.values()].flatMap((link) => (link ? idsOfLink(link) : [])))) {
    const profile = await livingProfile(store, id);
    if (profile) living.set(id, profile.id);
  }
  const rules = compileRules(segment.config(), segment.configVersion(), shards);
  return new Refold(side, rules, links, living);
}

/** Feeds the stretch of history that matters; the time from which on it is kept, when that is not far enough. */
async function feed(
  { history, config: configOf }: GatewaySegment,
  sides: readonly RefoldSide[],
  refolds: readonly Refold[],
  upTo: number,
  { clock, signal }: FinishOptions,
): Promise<number | undefined> {
  const sinceMs = Math.min(...sides.map(({ rebuilding }) => rebuilding.sinceMs));
  const { logId, firstSequence, keptFromMs } = await history.beginning();
  const byLink = new Map<string, Refold[]>();
  for (const refold of refolds)
    for (const link of refold.candidates) byLink.set(link, [...(byLink.get(link) ?? []), refold]);
  const config = configOf();
  const consider = ({ shard, source, sequence, timeMs, payload }: LogMessage) => {
    const link = linkOfEvent({ payload }, config);
    const concerned = link === undefined ? undefined : byLink.get(link);
    if (!concerned) return;
    const message: ActorMessage = { shard, source, sequence, nowMs: timeMs, payload, logId };
    for (const refold of concerned) refold.consider(message);
  };
  const stretch = { fromSequence: firstSequence, toSequence: upTo, fromTimeMs: sinceMs - EARLIER_MS };
  for await (const messages of history.read(stretch, signal)) {
    messages.forEach(consider);
    // Requests have their turn.
    await clock.sleep(0, signal);
  }
  // What was removed while it was read is missing as well.
  const after = await history.beginning();
  const from = after.firstSequence > firstSequence ? after.keptFromMs : keptFromMs;
  return from !== undefined && from <= sinceMs ? undefined : (from ?? clock.nowMs());
}
