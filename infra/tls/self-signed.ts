// A certificate that a process makes for itself, so that what speaks https only can be tried on one's own machine. It is for
// loopback and the given host, signs nothing else, and ends after a year.
import { createPrivateKey, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIP, isIPv4 } from 'node:net';
import { join } from 'node:path';
import { bitString, integer, octetString, oid, sequence, set, tagged, utcTime, utf8 } from './der.ts';

export interface TlsIdentity {
  /** PEM. */
  readonly key: string;
  readonly cert: string;
}

const DAY_MS = 86_400_000;
const LIFE_MS = 365 * DAY_MS;
/** Another one is made when so little of its life is left. */
const RENEW_MS = 7 * DAY_MS;
const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

const OID = {
  commonName: oid('2.5.4.3'),
  ecdsaWithSha256: oid('1.2.840.10045.4.3.2'),
  basicConstraints: oid('2.5.29.19'),
  keyUsage: oid('2.5.29.15'),
  extendedKeyUsage: oid('2.5.29.37'),
  subjectAltName: oid('2.5.29.17'),
  serverAuth: oid('1.3.6.1.5.5.7.3.1'),
} as const;

/** The one in the folder, or a new one that is left there, its key for this user alone. */
export function keptIdentity(folder: string, host: string, nowMs: number): TlsIdentity {
  const paths = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') };
  const known = readIdentity(paths);
  if (known !== undefined && isUsable(known, host, nowMs)) return known;
  const made = makeIdentity([...new Set([...LOOPBACK, host])], nowMs);
  mkdirSync(folder, { recursive: true });
  writeFileSync(paths.key, made.key, { mode: 0o600 });
  chmodSync(paths.key, 0o600);
  writeFileSync(paths.cert, made.cert);
  return made;
}

function readIdentity(paths: TlsIdentity): TlsIdentity | undefined {
  try {
    return { key: readFileSync(paths.key, 'utf8'), cert: readFileSync(paths.cert, 'utf8') };
  } catch {
    return undefined;
  }
}

function isUsable({ key, cert }: TlsIdentity, host: string, nowMs: number): boolean {
  try {
    const certificate = new X509Certificate(cert);
    const covers = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
    const fresh =
      Date.parse(certificate.validFrom) <= nowMs && Date.parse(certificate.validTo) > nowMs + RENEW_MS;
    return fresh && covers !== undefined && certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/** A new one for these names and addresses: ECDSA P-256, X.509 version 3. */
export function makeIdentity(hosts: readonly string[], nowMs: number): TlsIdentity {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(OID.ecdsaWithSha256);
  const name = sequence(set(sequence(OID.commonName, utf8('stitchwork dev'))));
  const body = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name,
    sequence(utcTime(nowMs - DAY_MS), utcTime(nowMs + LIFE_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, extensionsFor(hosts)),
  );
  const certificate = sequence(body, algorithm, bitString(sign('sha256', body, privateKey)));
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: new X509Certificate(certificate).toString(),
  };
}

function extensionsFor(hosts: readonly string[]): Buffer {
  const critical = Buffer.from([0x01, 0x01, 0xff]);
  const extension = (id: Buffer, value: Buffer, ...flags: readonly Buffer[]) =>
    sequence(id, ...flags, octetString(value));
  return sequence(
    extension(OID.basicConstraints, sequence(), critical),
    // digitalSignature
    extension(OID.keyUsage, bitString(Buffer.from([0x80]), 7), critical),
    extension(OID.extendedKeyUsage, sequence(OID.serverAuth)),
    extension(OID.subjectAltName, sequence(...hosts.map(generalName))),
  );
}

function generalName(host: string): Buffer {
  return isIP(host) === 0 ? tagged(0x82, Buffer.from(host, 'ascii')) : tagged(0x87, addressBytes(host));
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':'));
  const [before, after] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  const all = [...before, ...zeros, ...after];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
