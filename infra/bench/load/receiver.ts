// Where a bench's activator delivers to, in a process of its own: notes for every activation how long after the log time of its
// cause the request began to arrive. Prints its port; after the end of its input what it has seen, as JSON.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceiverResult {
  readonly activations: number;
  /** From the first to the last. */
  readonly elapsedMs: number;
  /** From `at` of the activation to its first byte, ms, in order. */
  readonly delaysMs: readonly number[];
}

const delaysMs: number[] = [];
const ids = new Set<string>();
let firstMs = 0;
let lastMs = 0;

const server = createServer((request, response) => {
  const nowMs = Date.now();
  let text = '';
  request.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  request.on('end', () => {
    const { id, at } = JSON.parse(text) as { id: string; at: string };
    if (!ids.has(id)) {
      ids.add(id);
      delaysMs.push(nowMs - Date.parse(at));
      firstMs ||= nowMs;
      lastMs = nowMs;
    }
    response.end();
  });
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
process.stdin.resume();
process.stdin.on('data', () => void process.stdout.write(`${ids.size}\n`));
process.stdin.on('end', () => {
  const result: ReceiverResult = {
    activations: ids.size,
    elapsedMs: lastMs - firstMs,
    delaysMs: delaysMs.sort((a, b) => a - b),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
});
