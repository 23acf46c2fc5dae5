// The personalization services of a gateway: compiled once a config, with the tokens that open them. Tokens are kept as their
// SHA-256, and found by it.
import { BlockList, isIP } from 'node:net';
import { compileServices, type ServiceRule } from '../../actors/personalization/compile.ts';
import type { TokenConfig } from '../../shared/contract/config/personalization-config.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { sha256Base64Url } from '../../shared/kernel/hash.ts';
import type { GatewaySegment } from '../deps.ts';

/** Value of a variable of the environment. */
export type SecretOf = (name: string) => string | undefined;

/** A service under the config by which a call is answered. */
export interface ServiceInForce {
  readonly segment: GatewaySegment;
  readonly rule: ServiceRule;
  /** Version of that config. */
  readonly configVersion: number;
}

export interface TokenHolder {
  readonly name: string;
  /** Whether it is taken from this address. */
  isTakenFrom(address: string): boolean;
}

export interface Services {
  /** Those of a name, over the segments. */
  named(name: string): readonly ServiceInForce[];
  /** What a token opens; undefined: nothing. */
  openedBy(token: string): { readonly service: ServiceInForce; readonly token: TokenHolder } | undefined;
}

interface Prepared {
  readonly rules: ReadonlyMap<string, ServiceRule>;
  /** By digest. */
  readonly tokens: ReadonlyMap<string, { readonly service: string; readonly holder: TokenHolder }>;
}

/** Shorter values are no secrets: a variable that is set to one opens nothing. */
export const TOKEN_CHARS_MIN = 8;

export function createServices(segments: readonly GatewaySegment[], secretOf: SecretOf): Services {
  const known = new WeakMap<SegmentConfig, Prepared>();
  const preparedOf = (config: SegmentConfig) => {
    const before = known.get(config);
    if (before) return before;
    const prepared = prepare(config, secretOf);
    known.set(config, prepared);
    return prepared;
  };
  const inForce = (segment: GatewaySegment, name: string): readonly ServiceInForce[] => {
    const configVersion = segment.configVersion();
    const rule = preparedOf(segment.config()).rules.get(name);
    return rule ? [{ segment, rule, configVersion }] : [];
  };
  return {
    named: (name) => segments.flatMap((segment) => inForce(segment, name)),
    openedBy(token) {
      const digest = digestOf(token);
      for (const segment of segments) {
        const found = preparedOf(segment.config()).tokens.get(digest);
        const [service] = found ? inForce(segment, found.service) : [];
        if (found && service) return { service, token: found.holder };
      }
      return undefined;
    },
  };
}

function prepare(config: SegmentConfig, secretOf: SecretOf): Prepared {
  const tokens = config.personalization.flatMap(({ name: service, tokens }) =>
    tokens.flatMap((token) => {
      const holder = holderOf(token);
      return token.secrets.flatMap((variable) => {
        const secret = secretOf(variable);
        if (secret === undefined || secret.length < TOKEN_CHARS_MIN) return [];
        return [[digestOf(secret), { service, holder }] as const];
      });
    }),
  );
  return { rules: compileServices(config), tokens: new Map(tokens) };
}

function holderOf({ name, ips }: TokenConfig): TokenHolder {
  if (ips.length === 0) return { name, isTakenFrom: () => true };
  const list = new BlockList();
  for (const network of ips) {
    const [address = '', prefix] = network.split('/');
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    list.addSubnet(address, Number(prefix ?? (family === 'ipv4' ? 32 : 128)), family);
  }
  return {
    name,
    isTakenFrom(given) {
      // Version 4 over a socket of version 6.
      const address = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(given)?.[1] ?? given;
      const family = isIP(address);
      return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
    },
  };
}

function digestOf(token: string): string {
  return sha256Base64Url(token);
}
