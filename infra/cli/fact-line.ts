// One fact of an audit entry in words, for people at a terminal.
import type { AuditFact } from '../../shared/contract/outbox.ts';

/** What happened, to which key, and why. */
export function factLine(fact: AuditFact): string {
  const { kind, key, reason, detail } = fact;
  const about = key ? ` ${key.name}:${key.value}` : '';
  const why = [reason, detail].filter((part) => part !== undefined).join(': ');
  return printable(`${kind.replaceAll('_', ' ')}${about}${profilesIn(fact)}${why === '' ? '' : ` (${why})`}`);
}

/** Text that came from outside, as it may be shown: nothing in it speaks to the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function profilesIn({ kind, from, into, heldBy, audience }: AuditFact): string {
  switch (kind) {
    case 'profiles_merged':
      return ` ${shortId(String(from))} into ${shortId(String(into))}`;
    case 'profile_split':
      return ` into ${shortId(String(into))}`;
    case 'link_refused':
      return typeof heldBy === 'string' ? ` held by ${shortId(heldBy)}` : '';
    case 'audience_entered':
    case 'audience_left':
      return ` ${String(audience)}`;
    default:
      return '';
  }
}

/** The random end of a UUIDv7 tells profiles of one moment apart. */
export function shortId(id: string): string {
  return `…${id.slice(-12)}`;
}
