// Reads a command as it stands in the log. Whatever does not have its form is no envelope.

import type { IdentityCommand } from '../../../shared/contract/command.ts';
import type { LogEnvelope } from '../../../shared/contract/event.ts';
import { isAttributeState } from '../../attributes/check-state.ts';

export type CommandEnvelope = Extract<LogEnvelope, { type: 'command' }>;

/** What deciding a command needs to know. */
export interface CommandInput {
  readonly id: string;
  readonly by: string;
  readonly command: IdentityCommand;
  readonly nowMs: number;
}

const ID = /^[0-9A-Za-z_-]{1,64}$/;
const BY_MAX = 200;

/** Whether an object of the log is a command, all but its reply subject. */
export function isCommandEnvelope(raw: Readonly<Record<string, unknown>>): boolean {
  const { id, by, at, command } = raw;
  return (
    isId(id) &&
    typeof by === 'string' &&
    by.length <= BY_MAX &&
    typeof at === 'string' &&
    isObject(command) &&
    isCommand(command)
  );
}

function isCommand(command: Readonly<Record<string, unknown>>): boolean {
  switch (command.kind) {
    case 'merge':
      return isId(command.from) && isId(command.into) && isFlag(command.force);
    case 'split_begin':
      return (
        isId(command.profileId) &&
        isId(command.newProfileId) &&
        (command.keys === null || isLists(command.keys)) &&
        (command.reason === 'split' || command.reason === 'removed')
      );
    case 'rebuild':
      return (
        isId(command.profileId) &&
        (command.attributes === undefined ||
          (Array.isArray(command.attributes) && command.attributes.every((name) => typeof name === 'string')))
      );
    case 'config_applied':
      return (
        isNumber(command.version) &&
        (command.note === null || typeof command.note === 'string') &&
        (command.rollbackOf === null || isNumber(command.rollbackOf))
      );
    case 'split_fill':
      return (
        isId(command.splitId) &&
        isId(command.profileId) &&
        isRecordOf(command.attributes, isAttributeState) &&
        isRecordOf(command.fired, isNumber) &&
        isLists(command.observed) &&
        isNumber(command.events) &&
        (command.keptFromMs === undefined || isNumber(command.keptFromMs))
      );
    default:
      return false;
  }
}

function isLists(lists: unknown): boolean {
  return isRecordOf(lists, (list) => Array.isArray(list) && list.every((value) => typeof value === 'string'));
}

function isRecordOf(record: unknown, isPart: (part: unknown) => boolean): boolean {
  return isObject(record) && Object.values(record).every(isPart);
}

/** One token of a subject. */
function isId(value: unknown): boolean {
  return typeof value === 'string' && ID.test(value);
}

function isFlag(value: unknown): boolean {
  return value === undefined || typeof value === 'boolean';
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
