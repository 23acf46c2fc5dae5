// Activations as mails, to a real SMTP server on this machine.
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually } from '../support/segment.ts';
import { Rig } from './rig.ts';

interface Mail {
  readonly to: readonly string[];
  readonly from: string;
  readonly source: string;
}

let server: TestServer;
let smtp: SMTPServer;
let rig: Rig;
let port: number;
let mails: Mail[];
/** What the server says to a receiver; undefined: it takes the mail. */
let refusal: { code: number; text: string } | undefined;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  mails = [];
  refusal = undefined;
  smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onAuth: ({ username, password }, _session, done) =>
      username === 'shop' && password === 'pass-4711'
        ? done(null, { user: username })
        : done(Object.assign(new Error('no such user'), { responseCode: 535 })),
    onRcptTo: (_address, _session, done) =>
      refusal ? done(Object.assign(new Error(refusal.text), { responseCode: refusal.code })) : done(),
    onData(stream, { envelope }, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address;
        mails.push({
          to: envelope.rcptTo.map(({ address }) => address),
          from,
          source: Buffer.concat(chunks).toString(),
        });
        done();
      });
    },
  });
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', () => resolve()));
  port = (smtp.server.address() as AddressInfo).port;
  rig = new Rig(server.url);
});
afterEach(async () => {
  await rig.stop();
  await new Promise<void>((resolve) => smtp.close(() => resolve()));
});

const mailTo = (more = '') =>
  `{ name: crm, type: smtp, host: 127.0.0.1, port: ${port}, tls: none, user: shop, password: '\${PASSWORD}', from: 'The shop <shop@example.com>', to: '{{ payload.who }}', subject: 'For {{ keys.email }}', text: 'Total {{ payload.total }}', html: '<b>{{ payload.q }}</b>', retry: { attempts: 3, base: 50ms, max: 100ms }${more} }`;
const env = { PASSWORD: 'pass-4711' };
const ended = (count: number) =>
  eventually(
    `${count} ended`,
    async () => (await rig.attempts()).filter(({ outcome }) => outcome !== 'retrying').length >= count,
  );

describe('a mail', () => {
  it('has receiver, subject and both texts, values of HTML escaped, and the activation in its Message-ID', async () => {
    await rig.start([mailTo()], { env });
    await rig.decide(['a1'], { payload: { who: 'ann@example.com', total: 7, q: '<i>&' } });
    await ended(1);
    expect(await rig.attempts()).toMatchObject([{ outcome: 'delivered', status: 250 }]);
    expect(mails).toHaveLength(1);
    expect(mails[0]).toMatchObject({ to: ['ann@example.com'], from: 'shop@example.com' });
    const { source } = mails[0]!;
    expect(source).toMatch(/^From: The shop <shop@example\.com>/m);
    expect(source).toMatch(/^Subject: For ann@example\.com/m);
    expect(source).toMatch(/^Message-ID: <a1@example\.com>/m);
    expect(source).toContain('Total 7');
    expect(source).toContain('<b>&#60;i&#62;&#38;</b>');
  });

  it('goes to one receiver, whatever the value says', async () => {
    await rig.start([mailTo()], { env });
    await rig.decide(['a1'], { payload: { who: 'ann@example.com, eve@example.com' } });
    await rig.decide(['a2'], { payload: { who: 'ann@example.com\r\nBcc: eve@example.com' } });
    await ended(2);
    expect(mails).toEqual([]);
    expect((await rig.attempts()).map(({ reason }) => reason)).toEqual(['rejected', 'rejected']);
  });

  it('that the server refuses for now is sent again', async () => {
    refusal = { code: 450, text: 'greylisted' };
    await rig.start([mailTo()], { env });
    await rig.decide(['a1']);
    await eventually('an attempt', async () => (await rig.attempts()).length > 0);
    refusal = undefined;
    await ended(1);
    const [first, last] = [(await rig.attempts())[0], (await rig.attempts()).at(-1)];
    expect(first).toMatchObject({
      outcome: 'retrying',
      status: 450,
      answer: expect.stringContaining('greylisted'),
    });
    expect(last).toMatchObject({ outcome: 'delivered' });
    expect(mails).toHaveLength(1);
  });

  it('to nobody is a dead letter at once', async () => {
    refusal = { code: 550, text: 'no such mailbox' };
    await rig.start([mailTo()], { env });
    await rig.decide(['a1']);
    await ended(1);
    expect(await rig.attempts()).toMatchObject([{ outcome: 'failed', reason: 'rejected', status: 550 }]);
  });

  it('waits for a right password, which is told nowhere', async () => {
    await rig.start([mailTo()], { env: { PASSWORD: 'wrong-password' } });
    await rig.decide(['a1']);
    await ended(1);
    const told = await rig.attempts();
    expect(told).toHaveLength(3);
    expect(told[0]).toMatchObject({ outcome: 'retrying', status: 535 });
    expect(JSON.stringify(told)).not.toContain('wrong-password');
  });

  it('needs TLS unless the config says otherwise', async () => {
    await rig.start([mailTo().replace('tls: none, ', '')], { env });
    await rig.decide(['a1']);
    await eventually('an attempt', async () => (await rig.attempts()).length > 0);
    expect(mails).toEqual([]);
    expect((await rig.attempts())[0]?.error).toMatch(/STARTTLS|TLS/);
  });

  it('is not sent to a private network that is not allowed', async () => {
    await rig.start([mailTo()], { env, allow: [] });
    await rig.decide(['a1']);
    await eventually('an attempt', async () => (await rig.attempts()).length > 0);
    expect((await rig.attempts())[0]).toMatchObject({ error: expect.stringContaining('127.0.0.1') });
  });
});
