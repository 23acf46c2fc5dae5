// Which addresses a destination may be connected to: those of the public internet, and networks that the operator allows. It
// is asked with the address that is connected to, after the look-up of the name.
import { BlockList, isIP } from 'node:net';
import { StitchworkError } from '../../shared/kernel/errors.ts';

export interface AddressRule {
  allows(address: string): boolean;
}

/** Not of the public internet (IANA special-purpose registries). */
const NOT_PUBLIC_V4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
] as const;
const PUBLIC_V6 = '2000::/3';
/** Inside of it: tunnels to IPv4, benchmarks, documentation. */
const NOT_PUBLIC_V6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'] as const;

/** `allowed`: networks such as 10.1.0.0/16 or fd00::/8. Throws INVALID_SETTINGS that names the one that is none. */
export function createAddressRule(allowed: readonly string[]): AddressRule {
  const exceptions = listOf(allowed);
  const closedV4 = listOf(NOT_PUBLIC_V4);
  const openV6 = listOf([PUBLIC_V6]);
  const closedV6 = listOf(NOT_PUBLIC_V6);
  return {
    allows(given) {
      const address = plainAddress(given);
      const family = isIP(address);
      if (family === 0) return false;
      const type = family === 4 ? 'ipv4' : 'ipv6';
      if (exceptions.check(address, type)) return true;
      if (type === 'ipv4') return !closedV4.check(address, type);
      return openV6.check(address, type) && !closedV6.check(address, type);
    },
  };
}

/** An IPv4 address that is written as IPv6 is judged as what it is. */
function plainAddress(given: string): string {
  const address = given.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  const mapped = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i.exec(address);
  if (!mapped) return address;
  const [, dotted, high = '', low = ''] = mapped;
  if (dotted) return dotted;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join('.');
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/');
    const family = isIP(address);
    const most = family === 4 ? 32 : 128;
    const prefix = bits === '' ? most : Number(bits);
    if (family === 0 || !Number.isInteger(prefix) || prefix < 0 || prefix > most) {
      const message = `'${network}' is no network: give one such as 10.1.0.0/16, or one address`;
      throw new StitchworkError('INVALID_SETTINGS', message);
    }
    list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
