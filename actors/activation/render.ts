// Templates of a destination, compiled once: texts, and data of any shape with texts in it. They see the activation.
import type { TemplateTree } from '../../shared/contract/config/destination-config.ts';
import { compileLiquid, type LiquidEscape, type LiquidRoots } from '../../shared/contract/liquid.ts';
import { type Attempt, DestinationProblem } from './destination.ts';

/** What templates see of an attempt. */
export function rootsOf({ activation, attempt, nowMs }: Attempt): LiquidRoots {
  const { payload, keys } = activation;
  return { activation, payload, keys, attempt, now: new Date(nowMs).toISOString() };
}

/** A template of text. Rendering throws LiquidFailure. */
export function textTemplate(source: string, escaping: LiquidEscape): (roots: LiquidRoots) => string {
  const compiled = compileLiquid(source, escaping);
  if (compiled.kind === 'invalid') throw new DestinationProblem(compiled.reason);
  return (roots) => compiled.text.render(roots);
}

/** A template of data: text that is one output keeps the type of its value. Rendering throws LiquidFailure. */
export function dataTemplate(
  tree: TemplateTree,
  fill: (text: string) => string,
): (roots: LiquidRoots) => unknown {
  if (typeof tree === 'string') {
    const compiled = compileLiquid(fill(tree));
    if (compiled.kind === 'invalid') throw new DestinationProblem(compiled.reason);
    return (roots) => compiled.text.value(roots);
  }
  if (Array.isArray(tree)) {
    const items = tree.map((item) => dataTemplate(item as TemplateTree, fill));
    return (roots) => items.map((item) => item(roots));
  }
  if (typeof tree === 'object' && tree !== null) {
    const fields = Object.entries(tree).map(([name, item]) => [name, dataTemplate(item, fill)] as const);
    return (roots) => Object.fromEntries(fields.map(([name, item]) => [name, item(roots)]));
  }
  return () => tree;
}

/** What a destination gets that says nothing of a body: all of the activation but where it goes. */
export function plainBody({ activation }: Attempt): object {
  const { to: _to, redriven: _redriven, ...body } = activation;
  return body;
}
