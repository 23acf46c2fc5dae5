// Who may ask which service, from where. Said in a form of its own, so that each protocol can answer in its own words.
import { unreachable } from '../../shared/kernel/assert.ts';
import type { Refusal } from '../http/errors.ts';
import type { ServiceInForce, Services } from './services.ts';

/** A call as it came in. */
export interface Caller {
  /** Token or key; undefined: none. */
  readonly token: string | undefined;
  readonly address: string;
  /** Of the page that asks; undefined: no browser says so. */
  readonly origin: string | undefined;
}

export type Access =
  | { readonly kind: 'open'; readonly service: ServiceInForce }
  | { readonly kind: 'no_token' }
  | { readonly kind: 'unknown_token' }
  /** It opens another service than the one that was asked for. */
  | { readonly kind: 'other_service'; readonly opens: string }
  | { readonly kind: 'wrong_address'; readonly token: string; readonly address: string }
  | { readonly kind: 'wrong_origin'; readonly origin: string }
  | { readonly kind: 'no_origin' };

/** What a token opens to a caller. `asked`: the service that it wants; undefined: whichever the token is for. */
export function accessOf(services: Services, caller: Caller, asked?: string): Access {
  if (caller.token === undefined) return { kind: 'no_token' };
  const opened = services.openedBy(caller.token);
  if (!opened) return { kind: 'unknown_token' };
  const { service, token } = opened;
  const { config } = service.rule;
  if (asked !== undefined && asked !== config.name) return { kind: 'other_service', opens: config.name };
  if (!token.isTakenFrom(caller.address))
    return { kind: 'wrong_address', token: token.name, address: caller.address };
  if (config.origins.length > 0) {
    if (caller.origin === undefined) return { kind: 'no_origin' };
    if (!isOriginOf(config.origins, caller.origin)) return { kind: 'wrong_origin', origin: caller.origin };
  }
  return { kind: 'open', service };
}

/** Whether a page of this origin may ask; without a list any may. */
export function isOriginOf(origins: readonly string[], origin: string): boolean {
  const said = origin.toLowerCase();
  return origins.length === 0 || origins.some((allowed) => matches(allowed, said));
}

function matches(allowed: string, origin: string): boolean {
  const [before, after] = allowed.split('*.') as [string, string?];
  if (after === undefined) return allowed === origin;
  // A subdomain, and nothing that could end the host before it.
  if (!origin.startsWith(before) || !origin.endsWith(`.${after}`)) return false;
  return /^[a-z0-9.-]+$/.test(origin.slice(before.length, -after.length - 1));
}

/** In the words of our own API. */
export function refusalOf(access: Exclude<Access, { kind: 'open' }>): Refusal {
  switch (access.kind) {
    case 'no_token':
      return { code: 'UNAUTHORIZED', message: 'The request carries no token.' };
    case 'unknown_token':
      return { code: 'UNAUTHORIZED', message: 'The token is not known here.' };
    case 'other_service':
      return { code: 'FORBIDDEN', message: `The token is for the service '${access.opens}'.` };
    case 'wrong_address':
      return {
        code: 'FORBIDDEN',
        message: `The token '${access.token}' is not taken from ${access.address}.`,
      };
    case 'wrong_origin':
      return {
        code: 'FORBIDDEN',
        message: `Pages of ${access.origin.slice(0, 200)} may not ask: they are not among the origins of the service.`,
      };
    case 'no_origin':
      return { code: 'FORBIDDEN', message: 'The service answers pages alone, and no Origin was sent.' };
    default:
      return unreachable(access);
  }
}
