// The bytes of a request body: read under a budget, unpacked when gzipped, never more than the limit before or after.
// A refused body is thrown away as it comes in and never held.
import type { IncomingMessage } from 'node:http';
import { createGunzip } from 'node:zlib';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { ByteLease } from './byte-budget.ts';

/** What is still read and dropped of a refused body, so that the client gets to see the answer. */
const DISCARD_BYTES_MAX = 16 * 1024 * 1024;
const GUNZIP_CHUNK_BYTES = 64 * 1024;

/**
 * Reads the whole body; gzip is recognised by header or by its first bytes. Throws REQUEST_TOO_LARGE, OVERLOADED,
 * UNSUPPORTED_MEDIA_TYPE (another content encoding), BAD_REQUEST (broken off, damaged gzip).
 */
export async function readBody(
  request: IncomingMessage,
  lease: ByteLease,
  bytesMax: number,
): Promise<Buffer> {
  try {
    const gzipped = isGzip(request.headers['content-encoding']);
    if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge(bytesMax);
    const body = await collect(request, lease, bytesMax);
    if (!gzipped && !(body[0] === 0x1f && body[1] === 0x8b)) return body;
    const unpacked = await gunzip(body, lease, bytesMax);
    lease.shrink(body.length);
    return unpacked;
  } catch (error) {
    discard(request);
    throw error;
  }
}

function isGzip(header: string | undefined): boolean {
  const encoding = (header ?? 'identity').trim().toLowerCase();
  if (encoding === 'gzip' || encoding === 'x-gzip') return true;
  if (encoding === 'identity' || encoding === '') return false;
  throw new StitchworkError('UNSUPPORTED_MEDIA_TYPE', 'The content encoding must be gzip or none.');
}

function collect(request: IncomingMessage, lease: ByteLease, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let total = 0;
    const onData = (chunk: Buffer) => {
      total += chunk.length;
      try {
        if (total > bytesMax) throw tooLarge(bytesMax);
        lease.grow(chunk.length);
      } catch (error) {
        return finish(() => reject(error));
      }
      chunks.push(chunk);
    };
    const onEnd = () => finish(() => resolve(Buffer.concat(chunks, total)));
    const onBroken = () =>
      finish(() => reject(new StitchworkError('BAD_REQUEST', 'The request body broke off before its end.')));
    const finish = (settle: () => void) => {
      request.off('data', onData).off('end', onEnd).off('close', onBroken);
      settle();
    };
    // The error listener stays: an error after the last byte must not end the process.
    request.on('error', onBroken).on('close', onBroken).on('end', onEnd).on('data', onData);
    if (request.destroyed) onBroken();
  });
}

async function gunzip(bytes: Buffer, lease: ByteLease, bytesMax: number): Promise<Buffer> {
  const stream = createGunzip({ chunkSize: GUNZIP_CHUNK_BYTES });
  const chunks: Buffer[] = [];
  let total = 0;
  try {
    stream.end(bytes);
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      total += chunk.length;
      if (total > bytesMax) throw tooLarge(bytesMax);
      lease.grow(chunk.length);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof StitchworkError) throw error;
    throw new StitchworkError('BAD_REQUEST', 'The request body is not sound gzip.', { cause: error });
  } finally {
    stream.destroy();
  }
  return Buffer.concat(chunks, total);
}

function discard(request: IncomingMessage): void {
  if (request.readableEnded || request.destroyed) return;
  let dropped = 0;
  request.on('error', () => {});
  request.on('data', (chunk: Buffer) => {
    dropped += chunk.length;
    if (dropped > DISCARD_BYTES_MAX) request.destroy();
  });
  request.resume();
}

function tooLarge(bytesMax: number): StitchworkError {
  return new StitchworkError('REQUEST_TOO_LARGE', `The request is larger than ${bytesMax} bytes.`);
}
