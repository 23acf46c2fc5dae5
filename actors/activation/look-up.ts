// Looks names up, and keeps the addresses that may be connected to. A connection is made to what this gave, so that a name
// that changes its address meanwhile gains nothing.
import { lookup as lookUpName } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import type { AddressRule } from './address-rule.ts';

export class AddressRefused extends Error {
  constructor(host: string, address: string) {
    super(`${host} is ${address}, which is no address of the public internet; allow it with --allow-network`);
  }
}

/** For sockets: fails with AddressRefused when no address of the name is allowed. */
export function guardedLookup(rule: AddressRule): LookupFunction {
  return (host, options, callback) => {
    lookUpName(host, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, '', 0);
      const allowed = found.filter(({ address }) => rule.allows(address));
      const [first] = allowed;
      if (!first) return callback(new AddressRefused(host, found[0]?.address ?? 'nothing'), '', 0);
      if (options.all) return callback(null, allowed);
      return callback(null, first.address, first.family);
    });
  };
}

/** A host that is an address is never looked up: it is judged as it stands. Throws AddressRefused. */
export function refuseLiteral(host: string, rule: AddressRule): void {
  const bare = host.replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0 && !rule.allows(bare)) throw new AddressRefused(host, bare);
}
