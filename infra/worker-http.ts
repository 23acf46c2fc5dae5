// The small HTTP door of a worker that runs alone: /metrics and /health/*. No data of profiles leaves here.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface WorkerHttp {
  readonly url: string;
  close(): Promise<void>;
}

/** Listens; port 0 is any free one. */
export async function serveWorkerHttp(options: {
  readonly host: string;
  readonly port: number;
  readonly registry: Registry;
  readonly ready: () => boolean;
}): Promise<WorkerHttp> {
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string) => {
      response.writeHead(status, { 'content-type': type }).end(body);
    };
    switch (request.url?.split('?')[0]) {
      case '/health/live':
        return answer(200, 'application/json', '{"status":"ok"}');
      case '/health/ready':
        return options.ready()
          ? answer(200, 'application/json', '{"status":"ok"}')
          : answer(503, 'application/json', '{"status":"not_ready"}');
      case '/metrics':
        options.registry.metrics().then(
          (text) => answer(200, options.registry.contentType, text),
          () => answer(500, 'text/plain', 'metrics failed'),
        );
        return;
      default:
        return answer(
          404,
          'application/json',
          '{"error":{"code":"NOT_FOUND","message":"There is nothing at this address."}}',
        );
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
