// SDKs for browsers, unmodified, on a real page of another origin in headless Chromium: a visitor is anonymous, signs in, and is
// one profile. Skipped where there is no Chromium (set CHROMIUM_PATH).
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/segment.ts';
import { findChromium, launchChromium, openSite, type SdkRig, type Site, startSdkRig } from './sdk-rig.ts';

const executable = findChromium();
if (executable === undefined) console.warn('skipped: no Chromium on this machine (CHROMIUM_PATH names one)');

describe.skipIf(executable === undefined)('in a browser', () => {
  let rig: SdkRig;
  let site: Site;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];
  /** Requests that left for another place than the gateway and the site. */
  let strays: string[];

  beforeAll(async () => {
    [rig, site, browser] = await Promise.all([startSdkRig(), openSite(), launchChromium(executable ?? '')]);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await site?.close();
    await rig?.stop();
  });
  beforeEach(async () => {
    context = await browser.newContext({ ignoreHTTPSErrors: true });
    page = await context.newPage();
    complaints = [];
    strays = [];
    const known = [site.url, rig.handle.url, rig.handle.tlsUrl ?? ''];
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('404')) complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!known.some((url) => request.url().startsWith(url))) strays.push(request.url());
    });
    await page.goto(`${site.url}/?utm_source=mail`);
  });
  afterEach(async () => {
    await context.close();
  });

  const cookie = async (name: string) =>
    (await context.cookies()).find((found) => found.name === name)?.value ?? '';

  describe('@segment/analytics-next', () => {
    const load = async (settings: object, options: object = {}) => {
      await page.evaluate(`window.analytics = { _cdn: location.origin }`);
      await page.addScriptTag({ url: `${site.url}/index.js` });
      await page.evaluate(
        `window.tracker = AnalyticsNext.AnalyticsBrowser.load(${JSON.stringify(settings)}, ${JSON.stringify(options)})`,
      );
    };
    const visit = async (customer: string) => {
      await page.evaluate(`tracker.page('Home')`);
      await page.evaluate(`tracker.track('Product Viewed', { sku: 'mat' })`);
      const anonymous = await cookie('ajs_anonymous_id');
      await eventually(
        'the visitor has a profile',
        async () => (await rig.profile('cookie', anonymous))?.attributes.views === 1,
      );
      expect((await rig.profile('cookie', anonymous))?.keys.customer_id).toBeUndefined();
      await page.evaluate(
        `tracker.identify('${customer}', { email: '${customer}@Example.com', plan: 'gold' })`,
      );
      await page.evaluate(`tracker.track('Product Viewed', { sku: 'block' })`);
      await eventually(
        'both views are of the customer',
        async () => (await rig.profile('customer_id', customer))?.attributes.views === 2,
      );
      expect(await rig.profile('cookie', anonymous)).toMatchObject({
        keys: { customer_id: [customer], email: [`${customer.toLowerCase()}@example.com`] },
        attributes: { pages: 1, plan: 'gold', last_sku: 'block' },
      });
    };

    it('a page that changes only where its settings come from', async () => {
      await load({ writeKey: rig.handle.writeKey, cdnURL: rig.handle.url });
      await visit('B1');
      expect([complaints, strays]).toEqual([[], []]);
    });

    it('and is answered by what it did', async () => {
      await load({ writeKey: rig.handle.writeKey, cdnURL: rig.handle.url });
      const ask = () =>
        page.evaluate(`(async () => {
          const keys = { cookie: (await tracker.user()).anonymousId() };
          const answer = await fetch('${rig.handle.url}/v1/personalize/web', {
            method: 'POST',
            headers: { 'content-type': 'application/json', authorization: 'Bearer ${rig.handle.tokens?.web}' },
            body: JSON.stringify({ keys }),
          });
          return (await answer.json()).offers;
        })()`);
      expect(await ask()).toMatchObject({ hero: { attributes: { sku: 'welcome' } } });
      await visit('B3');
      expect(await ask()).toMatchObject({
        hero: { attributes: { sku: 'block', views: 2 }, audiences: ['keen'] },
      });
    });

    it('in batches, over https', async () => {
      const delivery = { strategy: 'batching', config: { size: 2, timeout: 100 } };
      await load(
        { writeKey: rig.handle.writeKey, cdnURL: rig.handle.tlsUrl },
        { integrations: { 'Segment.io': { deliveryStrategy: delivery } } },
      );
      await visit('B2');
      expect([complaints, strays]).toEqual([[], []]);
    });

    it('with a key that nobody knows the SDK says so', async () => {
      const loading = load({ writeKey: 'nobody', cdnURL: rig.handle.url });
      await expect(loading).rejects.toThrow('The write key is not known here.');
    });
  });

  describe('td-js-sdk', () => {
    const load = async (options: object) => {
      await page.addScriptTag({ url: `${site.url}/td/td.js` });
      const { writeKey, tlsUrl } = rig.handle;
      const host = new URL(tlsUrl ?? '').host;
      const all = { host, writeKey, database: 'shop_db', startInSignedMode: true, ...options };
      await page.evaluate(`window.td = new Treasure(${JSON.stringify(all)})`);
    };
    /** Resolves with what the SDK tells its caller. */
    const call = (text: string) =>
      page.evaluate(
        `new Promise((ok, bad) => { const done = [ok, (e) => bad(new Error(JSON.stringify(e)))]; ${text} })`,
      );

    it.each(['/', '/td/'])('a visitor signs in, addresses at %s', async (pathname) => {
      const customer = pathname === '/' ? 'T1' : 'T2';
      await load({ pathname });
      await call(`td.trackPageview('pageviews', ...done)`);
      const answer = await call(
        `td.trackEvent('events', { event_name: 'Product Viewed', sku: 'mat' }, ...done)`,
      );
      expect(answer).toEqual({ receipts: [{ success: true, uuid: expect.any(String) }] });
      const client = await cookie('_td');
      await eventually(
        'the visitor has a profile',
        async () => (await rig.profile('cookie', client))?.attributes.views === 1,
      );
      await call(
        `td.trackEvent('events', { event_name: 'Product Viewed', sku: 'block', customer_id: '${customer}' }, ...done)`,
      );
      await eventually(
        'both views are of the customer',
        async () => (await rig.profile('customer_id', customer))?.attributes.views === 2,
      );
      expect(await rig.profile('cookie', client)).toMatchObject({
        keys: { customer_id: [customer], cookie: [client] },
        attributes: { pages: 1, last_sku: 'block' },
      });
      expect([complaints, strays]).toEqual([[], []]);
    });

    it('a page view in, an offer out, in one call', async () => {
      await load({ startInSignedMode: true });
      const { host } = new URL(rig.handle.tlsUrl ?? '');
      const ask = (token: string, sku: string) => {
        const where = { endpoint: host, database: 'shop_db', table: 'events', token };
        return call(`td.fetchPersonalization(
          ${JSON.stringify(where)},
          { td_client_id: td.client.track.uuid, event_name: 'Product Viewed', sku: '${sku}' },
          ...done
        )`);
      };
      const token = rig.handle.tokens?.web ?? '';
      expect(await ask(token, 'mat')).toEqual({
        offers: { hero: { attributes: { sku: 'welcome' }, batch_segments: [] } },
      });
      expect(await ask(token, 'block')).toEqual({
        offers: { hero: { attributes: { sku: 'block', views: 2 }, batch_segments: [{ id: 'keen' }] } },
      });
      expect([complaints, strays]).toEqual([[], []]);
      await expect(ask('nobody', 'mat')).rejects.toThrow();
    });

    it('in anonymous mode, its default, records are taken, and nobody gets a profile', async () => {
      await load({ startInSignedMode: false });
      const before = await rig.facts('profile_added');
      const answer = await call(`td.trackEvent('events', { event_name: 'Product Viewed' }, ...done)`);
      expect(answer).toMatchObject({ receipts: [{ success: true }] });
      await eventually('all is applied', async () => (await rig.lag()) === 0);
      expect(await rig.facts('profile_added')).toBe(before);
      expect(await rig.facts('dead_lettered')).toBe(0);
      expect(complaints).toEqual([]);
    });

    it('a wrong key reaches the error callback', async () => {
      await load({ writeKey: 'nobody' });
      await expect(call(`td.trackPageview('pageviews', ...done)`)).rejects.toThrow();
    });
  });
});
