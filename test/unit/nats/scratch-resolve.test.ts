import { it } from 'vitest';
import { resolveNatsServer } from '../../../infra/nats-server/resolve.ts';
it('fetch', async () => {
  const t = performance.now();
  const env = { ...process.env, XDG_CACHE_HOME: '/tmp/xc', PATH: '/usr/bin:/bin' };
  console.log(await Promise.all([1,2].map(() => resolveNatsServer({ env, onFetch: console.log }))), performance.now() - t);
}, 120000);
