// One command, decided. A command that is refused changes nothing and says why; one that comes again changes nothing more.
import type { CommandRefusal, CommandReply } from '../../../shared/contract/command.ts';
import type { AuditFact } from '../../../shared/contract/outbox.ts';
import { unreachable } from '../../../shared/kernel/assert.ts';
import type { Draft } from '../draft.ts';
import { chase, type Need } from '../find-profiles.ts';
import { endOf } from '../lifecycle.ts';
import type { Profile } from '../profile.ts';
import type { Rules } from '../rules.ts';
import { beginRebuild } from './count-anew.ts';
import { mergeByHand } from './merge-by-hand.ts';
import type { CommandInput } from './parse-command.ts';
import { beginSplit } from './split-begin.ts';
import { fillSplit } from './split-fill.ts';

export interface CommandDone {
  readonly kind: 'done';
  readonly facts: readonly AuditFact[];
  /** The profile that it is told of. */
  readonly profileId: string | undefined;
  readonly reply: CommandReply;
}

export type CommandDecision = CommandDone | { readonly kind: 'wait'; readonly reason: string } | Need;

/** Decides a command over the records that it asks for. */
export function decideCommand(draft: Draft, input: CommandInput, rules: Rules): CommandDecision {
  const { command } = input;
  switch (command.kind) {
    case 'merge':
      return mergeByHand(draft, command, input, rules);
    case 'split_begin':
      return beginSplit(draft, command, input, rules);
    case 'rebuild':
      return beginRebuild(draft, command, input, rules);
    case 'config_applied': {
      const { kind, version, note, rollbackOf } = command;
      const fact = { kind, version, by: input.by, ...(note && { note }), ...(rollbackOf && { rollbackOf }) };
      return done(input, [], [fact]);
    }
    case 'split_fill':
      return fillSplit(draft, command, input, rules);
    default:
      return unreachable(command);
  }
}

/** What a command did, or that there was nothing to do. */
export function done(
  { id }: CommandInput,
  profileIds: readonly string[],
  facts: readonly AuditFact[] = [],
): CommandDone {
  return { kind: 'done', facts, profileId: profileIds[0], reply: { commandId: id, profileIds } };
}

export function refused({ id }: CommandInput, reason: CommandRefusal, detail: string): CommandDone {
  const reply = { commandId: id, profileIds: [], refused: { reason, detail } };
  return { kind: 'done', facts: [], profileId: undefined, reply };
}

/** The living profile that an id stands for, or what the command comes to without it. */
export function livingProfile(
  draft: Draft,
  profileId: string,
  input: CommandInput,
  rules: Rules,
): { readonly kind: 'profile'; readonly profile: Profile } | CommandDecision {
  const end = chase(draft, profileId);
  if (end.kind === 'missing') return { kind: 'need', keys: [end.key] };
  if (end.kind === 'absent') return refused(input, 'unknown_profile', `there is no profile ${profileId}`);
  const { profile } = end;
  if (profile.configVersion > rules.configVersion)
    return { kind: 'wait', reason: `config version ${profile.configVersion} is in use already` };
  const overMs = endOf(profile, rules.config);
  if (overMs !== null && overMs <= input.nowMs)
    return refused(input, 'unknown_profile', `the time of profile ${profileId} is over`);
  return end;
}
