// POST /v1/events?wait=commit: the answer comes after the commit and names the profiles, or says that it did not wait.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errorCode, event, startGateway, type TestGateway } from './support/harness.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(async () => {
  expect(gateway.segment.replyBoxes.openCount).toBe(0);
  await gateway[Symbol.asyncDispose]();
});

const TWO = JSON.stringify([event({ messageId: 'm1' }), event({ keys: {} }), event({ messageId: 'm2' })]);
const post = (body: string) => gateway.post(body, { query: '?wait=commit' });
const reply = (messageId: string, profileId: string | null) => ({ messageId, profileId });

describe('waiting for the commit', () => {
  it('answers 200 with the profile of each event by its place in the request', async () => {
    gateway.segment.replyBoxes.replies.set(0, reply('m1', 'p1')).set(1, reply('m2', null));
    const answer = await post(TWO);
    expect([answer.statusCode, answer.json()]).toEqual([
      200,
      {
        accepted: 2,
        rejected: [expect.objectContaining({ index: 1, code: 'NO_KEYS' })],
        committed: true,
        profiles: [
          { index: 0, messageId: 'm1', profileId: 'p1' },
          { index: 2, messageId: 'm2', profileId: null },
        ],
      },
    ]);
  });

  it('asks the workers for a reply to each event, and to no other', async () => {
    await gateway.post(TWO);
    await post(TWO);
    expect(gateway.segment.appender.envelopes().map((one) => 'replyTo' in one && one.replyTo)).toEqual([
      false,
      false,
      '_INBOX.box.0',
      '_INBOX.box.1',
    ]);
  });

  it('answers 202 and committed: false when a reply is missing, with those that came', async () => {
    gateway.segment.replyBoxes.replies.set(1, reply('m2', 'p2'));
    const answer = await post(TWO);
    expect(answer.statusCode).toBe(202);
    expect(answer.json()).toMatchObject({
      accepted: 2,
      committed: false,
      profiles: [{ index: 2, messageId: 'm2', profileId: 'p2' }],
    });
  });

  it('names an event that became a dead letter', async () => {
    gateway.segment.replyBoxes.replies.set(0, { ...reply('m1', null), code: 'RECORD_TOO_LARGE' });
    const answer = await post(JSON.stringify(event({ messageId: 'm1' })));
    expect(answer.json()).toMatchObject({ committed: true, profiles: [{ code: 'RECORD_TOO_LARGE' }] });
  });

  it('does not wait for what was not stored', async () => {
    gateway.segment.appender.answers.push({ kind: 'full' });
    expect(errorCode(await post(TWO))).toBe('LOG_FULL');
  });

  it('knows nothing else to wait for', async () => {
    const answer = await gateway.post(TWO, { query: '?wait=applied' });
    expect([answer.statusCode, errorCode(answer)]).toEqual([400, 'BAD_REQUEST']);
    expect(gateway.segment.appender.requests).toEqual([]);
  });
});
