// SDKs for servers, unmodified, against a running gateway: what they send is in the profiles, once, also when answers are lost.
import Rudder from '@rudderstack/rudder-sdk-node';
import { Analytics } from '@segment/analytics-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/segment.ts';
import { openBadWay, type SdkRig, startSdkRig } from './sdk-rig.ts';

let rig: SdkRig;
beforeAll(async () => {
  rig = await startSdkRig();
}, 60_000);
afterAll(() => rig?.stop());

const views = async (customer: string) => (await rig.profile('customer_id', customer))?.attributes.views;

describe('@segment/analytics-node', () => {
  const open = (host: string, writeKey = rig.handle.writeKey) => {
    const analytics = new Analytics({ writeKey, host, flushInterval: 50 });
    const failures: string[] = [];
    analytics.on('error', ({ reason }) => failures.push(String(reason)));
    return { analytics, failures };
  };

  it('a visitor becomes a customer', async () => {
    const { analytics, failures } = open(rig.handle.url);
    analytics.page({ anonymousId: 'n-1', name: 'Home' });
    analytics.track({ anonymousId: 'n-1', event: 'Product Viewed', properties: { sku: 'mat' } });
    analytics.identify({
      anonymousId: 'n-1',
      userId: 'N1',
      traits: { email: ' N1@Example.com', plan: 'gold' },
    });
    // Of two values of one millisecond neither is the newer one.
    const timestamp = new Date(Date.now() + 5);
    analytics.track({ userId: 'N1', event: 'Product Viewed', properties: { sku: 'block' }, timestamp });
    analytics.screen({ userId: 'N1', name: 'Cart' });
    analytics.group({ userId: 'N1', groupId: 'g1', traits: { email: 'info@acme.example' } });
    await analytics.closeAndFlush();
    expect(failures).toEqual([]);
    await eventually('both views are counted', async () => (await views('N1')) === 2);
    expect(await rig.profile('cookie', 'n-1')).toMatchObject({
      keys: { customer_id: ['N1'], email: ['n1@example.com'], cookie: ['n-1'] },
      attributes: { pages: 1, last_sku: 'block', plan: 'gold' },
    });
    expect(await rig.profile('email', 'info@acme.example')).toBeNull();
  });

  it('an alias links two ids', async () => {
    const { analytics } = open(rig.handle.url);
    analytics.track({ anonymousId: 'n-2', event: 'Product Viewed', properties: { sku: 'mat' } });
    analytics.track({ userId: 'N2', event: 'Product Viewed', properties: { sku: 'mat' } });
    analytics.alias({ previousId: 'n-2', userId: 'N2' });
    await analytics.closeAndFlush();
    await eventually('they are one', async () => (await views('N2')) === 2);
    expect((await rig.profile('cookie', 'n-2'))?.id).toBe((await rig.profile('customer_id', 'N2'))?.id);
  });

  it('what is sent again because answers were lost or it was turned away counts once', async () => {
    const way = await openBadWay(rig.handle.url, ['lose_answer', 'turn_away']);
    const { analytics, failures } = open(way.url);
    for (let i = 0; i < 5; i++)
      analytics.track({ userId: 'N3', event: 'Product Viewed', properties: { sku: `s${i}` } });
    await analytics.closeAndFlush({ timeout: 20_000 });
    expect(failures).toEqual([]);
    expect(way.requests).toBe(3);
    await way.close();
    // What comes after it in the same shard says that all before is applied.
    const { analytics: direct } = open(rig.handle.url);
    direct.track({ userId: 'N3', event: 'Product Viewed', properties: { sku: 'last' } });
    await direct.closeAndFlush();
    await eventually(
      'the last one',
      async () => (await rig.profile('customer_id', 'N3'))?.attributes.last_sku === 'last',
    );
    expect(await views('N3')).toBe(6);
  });

  it('hears of a wrong key', async () => {
    const { analytics, failures } = open(rig.handle.url, 'nobody');
    analytics.track({ userId: 'N4', event: 'Product Viewed' });
    await analytics.closeAndFlush();
    expect(failures).toEqual([expect.stringContaining('401')]);
  });
});

describe('@rudderstack/rudder-sdk-node', () => {
  it.each([true, false])('a visitor becomes a customer, gzip %s', async (gzip) => {
    const id = gzip ? 'R1' : 'R2';
    const rudder = new Rudder(rig.handle.writeKey, { dataPlaneUrl: rig.handle.url, gzip, flushInterval: 50 });
    rudder.track({ anonymousId: `a-${id}`, event: 'Product Viewed', properties: { sku: 'mat' } });
    rudder.identify({
      anonymousId: `a-${id}`,
      userId: id,
      traits: { email: `${id}@example.com`, plan: 'gold' },
    });
    rudder.track({ userId: id, event: 'Product Viewed', properties: { sku: 'block' } });
    await rudder.flush();
    await eventually('both views are counted', async () => (await views(id)) === 2);
    expect(await rig.profile('cookie', `a-${id}`)).toMatchObject({
      keys: { customer_id: [id], email: [`${id.toLowerCase()}@example.com`] },
      attributes: { plan: 'gold' },
    });
  });
});
