// The nearest known name to a mistyped one.

/** The name within two edits of the given one (a third of its length when short), undefined when none is near. */
export function didYouMean(typed: string, known: readonly string[]): string | undefined {
  const allowed = Math.min(2, Math.max(1, Math.floor(typed.length / 3)));
  const near = known
    .filter((name) => Math.abs(name.length - typed.length) <= allowed)
    .map((name) => ({ name, edits: editsBetween(typed.toLowerCase(), name) }))
    .filter(({ edits }) => edits <= allowed)
    .sort((a, b) => a.edits - b.edits);
  return near[0]?.name;
}

/** Levenshtein distance. */
function editsBetween(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substituted, previous[j]! + 1, row[j - 1]! + 1));
    }
    previous = row;
  }
  return previous[b.length]!;
}
