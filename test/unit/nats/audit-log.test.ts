// The audit log over a server that answers in parts, or from a replica that is behind: what a real one does seldom.
import { headers } from 'nats';
import { describe, expect, it } from 'vitest';
import { segmentNames } from '../../../shared/contract/names.ts';
import { createAuditLog } from '../../../shared/nats/audit-log.ts';
import type { NatsDoor } from '../../../shared/nats/connect.ts';

const LAST = 5;
const LIMITS = { messages: 100, bytes: 1000 };

interface Answer {
  /** Sequences that the replica sends, then the end. */
  readonly sends: (seq: number) => readonly number[];
  readonly status?: number;
}

/** A door to a stream of five messages; direct gets are answered one after another, the last answer again and again. */
function doorOf(answers: readonly Answer[], leaderHas: readonly number[] = [1, 2, 3, 4, 5]) {
  const asked: number[] = [];
  const door = {
    async request(subject: string, payload: string) {
      const body = subject.includes('STREAM.INFO')
        ? { config: {}, state: { messages: LAST, bytes: 1, first_seq: 1, last_seq: LAST } }
        : leaderHas.some((seq) => seq >= JSON.parse(payload).seq)
          ? {
              message: {
                subject: 's',
                seq: leaderHas.find((seq) => seq >= JSON.parse(payload).seq),
                time: '2026-01-01T00:00:00Z',
              },
            }
          : { error: { code: 404, err_code: 10037, description: 'no message found' } };
      return { kind: 'reply', msg: { json: () => body } };
    },
    async requestMany(_subject: string, payload: string, each: (msg: object) => 'more' | 'done') {
      const { seq } = JSON.parse(payload) as { seq: number };
      const answer = answers[Math.min(asked.length, answers.length - 1)]!;
      asked.push(seq);
      for (const sequence of answer.sends(seq)) {
        const list = headers();
        list.set('Nats-Sequence', String(sequence));
        list.set('Nats-Time-Stamp', '2026-01-01T00:00:00Z');
        if (each({ headers: list, data: new Uint8Array(10) }) === 'done') return { kind: 'done' };
      }
      each({ headers: { code: answer.status ?? 204, description: 'told' }, data: new Uint8Array() });
      return { kind: 'done' };
    },
  };
  return { audit: createAuditLog(door as unknown as NatsDoor, segmentNames('shop')), asked };
}

const upTo = (last: number) => (seq: number) =>
  Array.from({ length: Math.max(0, last - seq + 1) }, (_, index) => seq + index);
const sequencesOf = ({ messages }: { messages: readonly { readonly sequence: number }[] }) =>
  messages.map(({ sequence }) => sequence);

describe('a page', () => {
  it('is put together from answers that the server cuts short', async () => {
    const { audit, asked } = doorOf([{ sends: (seq) => upTo(5)(seq).slice(0, 2) }]);
    expect(sequencesOf(await audit.readBack(6, LIMITS))).toEqual([5, 4, 3, 2, 1]);
    expect(asked).toEqual([1, 3, 5]);
  });

  it('of a replica that is behind is read again, until it has what the leader has', async () => {
    const { audit } = doorOf([{ sends: upTo(3) }, { sends: upTo(3) }, { sends: upTo(5) }]);
    expect(sequencesOf(await audit.readBack(6, LIMITS))).toEqual([5, 4, 3, 2, 1]);
  });

  it('without its newest message is whole when the leader does not have that one either', async () => {
    const { audit } = doorOf([{ sends: upTo(4) }], [1, 2, 3, 4]);
    const page = await audit.readBack(6, LIMITS);
    expect([sequencesOf(page), page.isLast]).toEqual([[4, 3, 2, 1], true]);
  });

  it('holds no more bytes than asked for, and says from where on it is whole', async () => {
    const { audit } = doorOf([{ sends: upTo(5) }]);
    const page = await audit.readBack(6, { messages: 100, bytes: 25 });
    expect([sequencesOf(page), page.from, page.isLast]).toEqual([[5, 4], 4, false]);
  });

  it('that the server refuses is an error with its words', async () => {
    const { audit } = doorOf([{ sends: () => [], status: 408 }]);
    await expect(audit.readBack(6, LIMITS)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('408 told'),
    });
  });
});
