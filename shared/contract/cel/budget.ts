// What one evaluation may cost: every step of an expression is counted, heavier where much data is at hand, so that no
// condition over any event can hold up a shard. The count is the same for the same input.

/** Steps of one evaluation. */
const STEPS_MAX = 200_000;
/** An event of more bytes makes each step so many times heavier: it may look through all of it. */
const BYTES_PER_STEP = 4_096;
/** Made texts and lists count by their length. */
const LENGTH_PER_STEP = 64;
/** Functions that look up a time zone. */
const HEAVY_STEPS = 50;

let left = STEPS_MAX;
let weight = 1;

/** A step too many. Not an Error: the library would swallow it inside `exists`, and go on. */
const EXHAUSTED = 0;

/** Begins the count for an event of so many bytes. */
export function beginBudget(eventBytes: number): void {
  left = STEPS_MAX;
  weight = Math.max(1, Math.ceil(eventBytes / BYTES_PER_STEP));
}

/** Counts work that one step does beyond what it costs to take it. */
export function spend(steps: number): void {
  left -= steps;
  if (left < 0) throw EXHAUSTED;
}

/** Whether the evaluation since `beginBudget` went beyond what it may cost; its result means nothing then. */
export function isExhausted(): boolean {
  return left < 0;
}

interface Node {
  readonly op: string;
  readonly args: unknown;
  evaluate: (evaluator: unknown, node: Node, context: unknown) => unknown;
}

const MAKING: ReadonlySet<string> = new Set(['+', 'call', 'rcall', 'list']);

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value && 'pos' in value;
}

/** Calls back with every node of a parsed expression. */
export function visitNodes(root: unknown, visit: (node: Node) => void): void {
  if (Array.isArray(root)) for (const part of root) visitNodes(part, visit);
  if (!isNode(root)) return;
  visit(root);
  visitNodes(root.args, visit);
}

/** Makes every node of a checked expression count its steps. */
export function meter(root: unknown): void {
  visitNodes(root, (node) => {
    const resolve = node.evaluate;
    const makes = MAKING.has(node.op);
    const steps = isHeavy(node) ? HEAVY_STEPS : 1;
    let inner: Node['evaluate'] | undefined;
    const counted: Node['evaluate'] = (evaluator, self, context) => {
      left -= steps * weight;
      if (left < 0) throw EXHAUSTED;
      let result: unknown;
      if (inner) result = inner.call(node, evaluator, self, context);
      else {
        // The first evaluation of a node decides how it is evaluated, and puts that in its place, also when it throws.
        try {
          result = resolve.call(node, evaluator, self, context);
        } finally {
          if (node.evaluate !== counted) inner = node.evaluate;
          node.evaluate = counted;
        }
      }
      if (makes && (typeof result === 'string' || Array.isArray(result)))
        left -= Math.ceil(result.length / LENGTH_PER_STEP);
      return result;
    };
    node.evaluate = counted;
  });
}

function isHeavy({ op, args }: Node): boolean {
  if ((op !== 'call' && op !== 'rcall') || !Array.isArray(args)) return false;
  const [name] = args as [unknown];
  return typeof name === 'string' && /^(get|date)/.test(name);
}
