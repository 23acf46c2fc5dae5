// A TCP proxy in front of a nats-server that loses an answer on purpose: the chunk that matches is not passed on and the
// connection breaks, so the server has done what the client never hears of.
import { connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  readonly url: string;
  /** The next answer that matches is lost, and its connection with it. Resolves when that has happened. */
  loseNext(answer: RegExp): Promise<void>;
  close(): Promise<void>;
}

export async function startCuttingProxy(serverUrl: string): Promise<CuttingProxy> {
  const { hostname, port } = new URL(serverUrl);
  const sockets = new Set<Socket>();
  let armed: { readonly answer: RegExp; readonly done: () => void } | undefined;
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname);
    const cut = () => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', cut);
      socket.on('close', () => {
        sockets.delete(socket);
        cut();
      });
    }
    client.on('data', (chunk) => server.write(chunk));
    server.on('data', (chunk) => {
      if (!armed?.answer.test(chunk.toString('latin1'))) return void client.write(chunk);
      const { done } = armed;
      armed = undefined;
      cut();
      done();
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  if (typeof address !== 'object' || address === null) throw new Error('the proxy has no port');
  return {
    url: `nats://127.0.0.1:${address.port}`,
    loseNext: (answer) =>
      new Promise((resolve) => {
        armed = { answer, done: resolve };
      }),
    close: () =>
      new Promise((resolve) => {
        proxy.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
