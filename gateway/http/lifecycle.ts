// The end of a gateway: no new requests, those in flight finish (cut off after the grace time), then the appenders
// close, so that nothing accepted is lost on the way out.
import type { GatewayDeps } from '../deps.ts';
import type { GatewayApp } from '../routes/route-context.ts';
import { refuse } from './errors.ts';

/** Installs the hooks; the returned function says whether closing has begun. */
export function installLifecycle(app: GatewayApp, deps: GatewayDeps, closeGraceMs: number): () => boolean {
  let closing = false;
  const closed = new AbortController();
  app.addHook('onRequest', async (_request, reply) => {
    if (!closing) return;
    reply.header('connection', 'close');
    return refuse(reply, { code: 'NOT_READY', message: 'The gateway is stopping.' });
  });
  app.addHook('preClose', async () => {
    closing = true;
    deps.clock.sleep(closeGraceMs, closed.signal).then(
      () => app.server.closeAllConnections(),
      () => undefined,
    );
  });
  // The server runs these after its last connection has closed.
  app.addHook('onClose', async () => {
    closed.abort();
    await Promise.all(deps.segments.map((segment) => segment.appender.close()));
  });
  return () => closing;
}
