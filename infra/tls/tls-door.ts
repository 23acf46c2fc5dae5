// A second listener of a gateway, for https: what comes in by it is answered by the same server, under the same limits.
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { answerClientError } from '../../gateway/http/client-error.ts';
import type { TlsIdentity } from './self-signed.ts';

const CLOSE_GRACE_MS = 10_000;

export interface TlsDoor {
  readonly port: number;
  /** Takes no more connections, ends those that are idle, and the others with their request or after a grace. */
  close(): Promise<void>;
}

/** Listens. Rejects when the port is taken. */
export async function openTlsDoor(
  app: FastifyInstance,
  identity: TlsIdentity,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<TlsDoor> {
  const { server: plain } = app;
  const server = createServer({
    ...identity,
    headersTimeout: plain.headersTimeout,
    requestTimeout: plain.requestTimeout,
    keepAliveTimeout: plain.keepAliveTimeout,
  });
  server.maxConnections = plain.maxConnections;
  server.on('request', (request, response) => app.routing(request, response));
  server.on('upgrade', (request, socket, head) => {
    // A client that asks for what nobody gives would hold its connection.
    if (!plain.emit('upgrade', request, socket, head)) socket.destroy();
  });
  const sockets = new Set<Socket>();
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('clientError', (error, socket) => answerClientError(error, socket as Socket));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        const late = setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, CLOSE_GRACE_MS);
        server.close(() => {
          clearTimeout(late);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}
