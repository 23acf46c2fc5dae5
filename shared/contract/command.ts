// Commands to the identity of profiles. They travel through the event log like events, in the shard of the profile that
// they name: serial with one another there, each once, audited, and replayed with the rest.

/** Values by key name. */
export type KeyValueLists = Readonly<Record<string, readonly string[]>>;

/** Two profiles become one by hand: `from` a part of `into`. */
export interface MergeCommand {
  readonly kind: 'merge';
  readonly from: string;
  readonly into: string;
  /** Also across a limit. */
  readonly force?: boolean | undefined;
}

/** Parts of a profile's keys become another profile's. */
export interface SplitBeginCommand {
  readonly kind: 'split_begin';
  readonly profileId: string;
  /** A new id, or that of a profile that was merged into this one: it lives again. */
  readonly newProfileId: string;
  /** Null: those that the profile with the other id had when it was merged. */
  readonly keys: KeyValueLists | null;
  /** `removed`: the keys are not this person's at all. */
  readonly reason: 'split' | 'removed';
}

/** A profile's attributes are counted anew from its events, with the config in force. */
export interface RebuildCommand {
  readonly kind: 'rebuild';
  readonly profileId: string;
  /** Only these; the others go on as they are. */
  readonly attributes?: readonly string[] | undefined;
}

/** What the events of one side of a split, or of a rebuilt profile, come to. */
export interface SplitFillCommand {
  readonly kind: 'split_fill';
  readonly splitId: string;
  readonly profileId: string;
  /** Attribute states by name. */
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly fired: Readonly<Record<string, number>>;
  readonly observed: KeyValueLists;
  /** How many events there were. */
  readonly events: number;
  /** History no longer reached back to the profile's beginning: events are kept from this log time on, ms. */
  readonly keptFromMs?: number | undefined;
}

/** A config has come into force: told in the audit log, and nothing else. */
export interface ConfigAppliedCommand {
  readonly kind: 'config_applied';
  readonly version: number;
  readonly note: string | null;
  /** The version whose text it is again. */
  readonly rollbackOf: number | null;
}

export type IdentityCommand =
  | MergeCommand
  | SplitBeginCommand
  | RebuildCommand
  | SplitFillCommand
  | ConfigAppliedCommand;

/** What decides the shard of a command: the profile that it names first. */
export function routedBy(command: IdentityCommand): string {
  switch (command.kind) {
    case 'merge':
      return command.into;
    case 'config_applied':
      return 'config';
    default:
      return command.profileId;
  }
}

/** Why a command is refused. */
export const COMMAND_REFUSALS = [
  'unknown_profile',
  /** The profile would break the limit of a key, or of keys in all. */
  'limit',
  'max_keys',
  /** A split of it is not finished. */
  'being_rebuilt',
  /** The profile does not hold the keys, or nothing of what the other one had. */
  'not_held',
  'no_keys',
  'all_keys',
  /** The other id is not that of a profile that was merged into this one. */
  'not_merged',
  /** The other id is a living profile's. */
  'id_in_use',
  'too_many_keys',
] as const;
export type CommandRefusal = (typeof COMMAND_REFUSALS)[number];

/** What a gateway that waits for a command is told once it is committed. */
export interface CommandReply {
  readonly commandId: string;
  /** The profiles that it left: the survivor of a merge, both of a split. */
  readonly profileIds: readonly string[];
  /** Set when nothing was done. */
  readonly refused?: { readonly reason: CommandRefusal; readonly detail: string };
  /** Why the command could not be applied: it is a dead letter. */
  readonly code?: string;
}
