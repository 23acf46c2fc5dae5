// A row of a snapshot changed: the profile that holds its key is joined with it now, and what that changes is told. It is no
// event: nobody is created, attached or kept alive by it.
import { recordKeys } from '../../shared/contract/names.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { evaluateAudiences, newlyCrossed } from './audiences.ts';
import type { Draft } from './draft.ts';
import { chase, type Need } from './find-profiles.ts';
import { joinBatch, withNewRows } from './join-batch.ts';
import type { Link } from './profile.ts';
import { isIncomplete } from './rebuilding.ts';
import type { Rules } from './rules.ts';
import { withTimers } from './timers.ts';
import { react } from './travel.ts';
import { underConfig } from './under-config.ts';

export interface RowMessage {
  readonly table: string;
  readonly run: number;
  readonly key: string;
  readonly encodedValue: string;
}

type Done = {
  readonly kind: 'done';
  readonly profileId: string | undefined;
  readonly facts: readonly AuditFact[];
};
type Wait = { readonly kind: 'wait'; readonly reason: string };

const NOTHING: Done = { kind: 'done', profileId: undefined, facts: [] };

/** Does nothing when the profile has the row already. */
export function decideRow(
  draft: Draft,
  row: RowMessage,
  cause: { readonly id: string; readonly nowMs: number },
  rules: Rules,
): Done | Need | Wait {
  const { config, runs } = rules;
  if (!config.batchTables.some(({ name, key }) => name === row.table && key === row.key)) return NOTHING;
  if ((runs[row.table]?.run ?? 0) < row.run)
    return { kind: 'wait', reason: `run ${row.run} of ${row.table} is in force` };
  const linkKey = recordKeys.linkOfEncoded(row.key, row.encodedValue);
  const link = draft.get(linkKey) as Link | null | undefined;
  if (link === undefined) return { kind: 'need', keys: [linkKey] };
  if (!link?.profileId) return NOTHING;
  const end = chase(draft, link.profileId);
  if (end.kind === 'missing') return { kind: 'need', keys: [end.key] };
  if (end.kind !== 'profile') return NOTHING;
  const { profile } = end;
  if (profile.configVersion > rules.configVersion)
    return { kind: 'wait', reason: `config version ${profile.configVersion} is in use already` };
  const joined = joinBatch(profile, config.batchTables, runs, (key) => draft.row(key));
  if (joined.kind === 'need') return joined;
  if (joined.profile === profile) return NOTHING;
  draft.guard(linkKey);
  const facts: AuditFact[] = [];
  const current = underConfig(withNewRows(profile, joined.profile, config), rules);
  const known = profile.configVersion === rules.configVersion ? profile : undefined;
  const looked = isIncomplete(current)
    ? { profile: current, changes: [] }
    : evaluateAudiences(current, known, cause.nowMs, rules, facts);
  const changes = newlyCrossed(looked.changes, [profile], rules, facts);
  const reacted = react(looked.profile, { cause, changes }, rules, facts, draft);
  draft.put(recordKeys.profile(profile.id), withTimers(reacted, rules, cause.nowMs, facts, draft));
  return { kind: 'done', profileId: profile.id, facts };
}
