// The certificate that a process makes for itself, and the https listener beside a gateway: checked by Node's own TLS client.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { integer, oid, utcTime } from '../../../infra/tls/der.ts';
import { openTls } from '../../../infra/tls/open-tls.ts';
import { keptIdentity, makeIdentity } from '../../../infra/tls/self-signed.ts';
import type { TlsDoor } from '../../../infra/tls/tls-door.ts';
import { startGateway, type TestGateway, WRITE_KEY } from '../gateway/support/harness.ts';

const NOW = Date.parse('2026-11-22T12:00:00Z');
const DAY = 86_400_000;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stitchwork-tls-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the certificate', () => {
  it('is a sound one for its hosts, for a year, and signs nothing else', () => {
    const { cert } = makeIdentity(['localhost', '127.0.0.1', '::1', 'fe80::1:2', 'shop.test'], NOW);
    const certificate = new X509Certificate(cert);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    for (const host of ['localhost', 'shop.test']) expect(certificate.checkHost(host)).toBe(host);
    for (const ip of ['127.0.0.1', '::1', 'fe80::1:2']) expect(certificate.checkIP(ip)).toBe(ip);
    expect(certificate.checkHost('evil.test')).toBeUndefined();
    expect(Date.parse(certificate.validFrom)).toBe(NOW - DAY);
    expect(Date.parse(certificate.validTo)).toBe(NOW + 365 * DAY);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  it('is kept, for this user alone, until it ends or does not fit', () => {
    const first = keptIdentity(folder, '127.0.0.1', NOW);
    expect(statSync(join(folder, 'key.pem')).mode & 0o777).toBe(0o600);
    expect(keptIdentity(folder, 'localhost', NOW + 300 * DAY)).toEqual(first);
    const later = keptIdentity(folder, 'localhost', NOW + 359 * DAY);
    expect(later).not.toEqual(first);
    const other = keptIdentity(folder, '192.168.7.7', NOW + 359 * DAY);
    expect(other).not.toEqual(later);
    expect(new X509Certificate(other.cert).checkIP('192.168.7.7')).toBe('192.168.7.7');
    writeFileSync(join(folder, 'key.pem'), first.key);
    expect(keptIdentity(folder, '192.168.7.7', NOW + 359 * DAY)).not.toEqual(other);
    writeFileSync(join(folder, 'cert.pem'), 'nonsense');
    expect(new X509Certificate(keptIdentity(folder, 'localhost', NOW).cert).checkHost('localhost')).toBe(
      'localhost',
    );
  });
});

describe('DER', () => {
  it('numbers are the shortest form, and never negative', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 160n }), (number) => {
        const hex = number.toString(16);
        const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
        const [tag, length, ...content] = integer(Buffer.concat([Buffer.alloc(3), bytes]));
        expect([tag, length]).toEqual([2, content.length]);
        expect(content[0]! & 0x80).toBe(0);
        expect(content.length === 1 || content[0] !== 0 || content[1]! > 0x7f).toBe(true);
        expect(BigInt(`0x${Buffer.from(content).toString('hex')}`)).toBe(number);
      }),
    );
  });

  it('object ids and times', () => {
    expect(oid('1.2.840.10045.4.3.2').toString('hex')).toBe('06082a8648ce3d040302');
    expect(utcTime(NOW).subarray(2).toString()).toBe('261122120000Z');
  });
});

describe('https beside a gateway', () => {
  let gateway: TestGateway;
  let door: TlsDoor | undefined;
  beforeEach(async () => {
    gateway = await startGateway();
  });
  afterEach(async () => {
    await door?.close();
    await gateway[Symbol.asyncDispose]();
  });

  const call = (path: string, ca: string, body?: Buffer) =>
    new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const headers = { authorization: `Bearer ${WRITE_KEY}`, connection: 'close' };
      const options = {
        host: '127.0.0.1',
        port: door!.port,
        path,
        ca,
        headers,
        method: body ? 'POST' : 'GET',
      };
      request(options, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('end', () => resolve({ status: answer.statusCode, text }));
      })
        .on('error', reject)
        .end(body);
    });

  it('answers as the other listener does, and says so in what it tells SDKs', async () => {
    door = await openTls(gateway.app, { host: '127.0.0.1', tlsPort: 0, dataDir: folder });
    const { cert } = keptIdentity(join(folder, 'tls'), '127.0.0.1', Date.now());
    const settings = await call(`/v1/projects/${WRITE_KEY}/settings`, cert);
    expect(JSON.parse(settings.text)).toMatchObject({
      integrations: { 'Segment.io': { apiHost: `127.0.0.1:${door!.port}/v1`, protocol: 'https' } },
    });
    const event = gzipSync(JSON.stringify({ event: 'A', userId: 'u1' }));
    expect((await call('/v1/t', cert, event)).status).toBe(200);
    expect(gateway.segment.appender.requests).toHaveLength(1);
  });

  it('is not there unless asked for, and tells of a port that is taken', async () => {
    expect(
      await openTls(gateway.app, { host: '127.0.0.1', tlsPort: undefined, dataDir: folder }),
    ).toBeUndefined();
    door = await openTls(gateway.app, { host: '127.0.0.1', tlsPort: 0, dataDir: folder });
    const again = openTls(gateway.app, { host: '127.0.0.1', tlsPort: door!.port, dataDir: folder });
    await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
