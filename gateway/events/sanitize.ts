// What JSON allows and the engine does not: nesting without end, and keys that would reach into prototypes. Checked
// before anything recursive (JSON.stringify, msgpack, CEL) touches an event.

/** Levels of objects and arrays in an event, itself included. */
export const EVENT_DEPTH_MAX = 64;

/** Removes own `__proto__` keys in place. False when the value is nested deeper than EVENT_DEPTH_MAX. */
export function sanitize(root: unknown): boolean {
  let level: object[] = isContainer(root) ? [root] : [];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > EVENT_DEPTH_MAX) return false;
    const below: object[] = [];
    for (const container of level) {
      if (Object.hasOwn(container, '__proto__')) Reflect.deleteProperty(container, '__proto__');
      for (const value of Object.values(container)) if (isContainer(value)) below.push(value);
    }
    level = below;
  }
  return true;
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
