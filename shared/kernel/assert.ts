// Assertions for broken invariants. A failed assertion is a bug, never bad input.

/** Closes an exhaustive switch: reaching it is a bug that the compiler could not see. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

/** Throws when `condition` does not hold. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}
