// `stitchwork identity why`: why two keys are one profile, or why they are not.
import type { Command } from 'commander';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { apiGet } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { factLine, printable, shortId } from './fact-line.ts';
import { withApiFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';

interface Key {
  readonly name: string;
  readonly value: string;
}

type Node = Key | { readonly profileId: string };

interface Step {
  readonly from: Node;
  readonly to: Node;
  readonly by: 'event' | 'attached' | 'merged' | 'merged_by_hand' | 'held';
  readonly messageId?: string;
  readonly at?: string;
}

interface Told {
  readonly keys: readonly (Key & { readonly profileId: string | null })[];
  readonly audit?: { readonly scanned: number; readonly complete: boolean; readonly reachesBackTo?: string };
}

type WhyAnswer = Told &
  (
    | { readonly one: true; readonly chain: readonly Step[] }
    | {
        readonly one: false;
        readonly because: readonly string[];
        readonly refusals: readonly Separation[];
        readonly partings: readonly Separation[];
        readonly apartSince?: string;
        readonly limits: readonly { readonly detail: string }[];
        readonly ifNamedNow?: { readonly joined: boolean; readonly facts: readonly AuditFact[] };
      }
  );

type Separation = AuditFact & { readonly at: string; readonly messageId?: string };

const BECAUSE: Readonly<Record<string, string>> = {
  parted_by_hand: 'they were parted by hand',
  refused: 'events that named both were refused',
  key_left: 'a key of one left the other',
  limit: 'together they would break a limit',
  key_of_nobody: 'one of the keys is on no profile',
  never_named_together: 'no event on record named both',
};

export function addIdentityWhy(identity: Command, io: Io): void {
  const why = identity
    .command('why')
    .description('tell why two keys are one profile, or why they are not')
    .argument('<key>', 'a stitching key, as name:value')
    .argument('<other>', 'another one');
  withExample(withApiFlags(why), 'stitchwork identity why email:ann@example.com customer_id:17850');
  why.action(async (key: string, other: string, flags: ClientFlags & { json?: boolean }) => {
    const [name, value] = partsOf(key);
    partsOf(other);
    const target = adminTarget(clientSettings(flags, io));
    const path = `/v1/profiles/${encodeURIComponent(name)}/${encodeURIComponent(value)}/identity`;
    const answer = (await apiGet(target, `${path}?with=${encodeURIComponent(other)}`)) as WhyAnswer;
    if (flags.json) io.out(JSON.stringify(answer));
    else for (const line of describe(answer, io)) io.out(line);
  });
}

function partsOf(key: string): readonly [name: string, value: string] {
  const colon = key.indexOf(':');
  if (colon > 0 && colon < key.length - 1) return [key.slice(0, colon), key.slice(colon + 1)];
  throw new CommandFailure(EXIT.usage, `'${key}' is no key: give name:value, such as email:ann@example.com`);
}

function describe(answer: WhyAnswer, { style }: Io): readonly string[] {
  const [a, b] = answer.keys.map(nodeText);
  const lines = answer.one
    ? [
        style.bold(`${a} and ${b} are one profile: ${answer.keys[0]!.profileId}`),
        ...answer.chain.map(stepLine),
      ]
    : [
        style.bold(`${a} and ${b} are not one profile`),
        ...answer.keys.map((key) => `  ${nodeText(key)} is of ${key.profileId ?? 'nobody'}`),
        ...answer.because.map((code) => `because ${BECAUSE[code] ?? code}`),
        ...(answer.apartSince === undefined ? [] : [`  parted ${answer.apartSince}`]),
        ...[...answer.refusals, ...answer.partings].map(separationLine),
        ...answer.limits.map(({ detail }) => `  ${printable(detail)}`),
        ...ifNamedLines(answer.ifNamedNow),
      ];
  return [...lines, ...reachLines(answer.audit).map((line) => style.dim(line))];
}

function stepLine({ from, to, by, messageId, at }: Step): string {
  const source =
    messageId === undefined ? '' : ` (${printable(messageId)}${at === undefined ? '' : `, ${at}`})`;
  const how = {
    event: `named together with ${nodeText(to)} by an event${source}`,
    attached: `${'profileId' in to ? 'came to' : 'got'} ${nodeText(to)} by an event${source}`,
    merged: `became one with ${nodeText(to)} by an event${source}`,
    merged_by_hand: `was made one with ${nodeText(to)} by hand${source}`,
    held: `${'profileId' in to ? 'is held by' : 'holds'} ${nodeText(to)}${source}`,
  }[by];
  return `  ${nodeText(from)} ${how}`;
}

function separationLine({ at, messageId, ...fact }: Separation): string {
  return `  ${at} ${factLine(fact)}${messageId === undefined ? '' : `, message ${printable(messageId)}`}`;
}

function ifNamedLines(now: Extract<WhyAnswer, { one: false }>['ifNamedNow']): readonly string[] {
  if (!now) return [];
  const facts = now.facts.map((fact) => `  ${factLine(fact)}`);
  return [`an event that names both now would ${now.joined ? '' : 'not '}make them one`, ...facts];
}

function reachLines(audit: Told['audit']): readonly string[] {
  if (!audit) return [];
  const since = audit.reachesBackTo === undefined ? '' : `, back to ${audit.reachesBackTo}`;
  const rest = audit.complete ? '' : '; there is more of it, that was not looked at';
  return [`${audit.scanned} entries of the audit log were looked at${since}${rest}`];
}

function nodeText(node: Node): string {
  return 'name' in node ? printable(`${node.name}:${node.value}`) : `profile ${shortId(node.profileId)}`;
}
