/** "Did you mean": the nearest of the known names, for messages about a name that is not known. */

const DISTANCE_MAX = 3;

/** `; did you mean "high"?` or, when nothing is near, the list of what is known. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const names = [...known];
  const near = nearest(name, names);
  if (near !== undefined) return `did you mean "${near}"?`;
  return names.length === 0 ? "none is defined" : `known: ${names.slice(0, 20).join(", ")}`;
}

export function nearest(name: string, known: readonly string[]): string | undefined {
  const ranked = known
    .filter((candidate) => Math.abs(candidate.length - name.length) <= DISTANCE_MAX)
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  const letters = name.replace(/^-+/, "").length; // all options have the same dashes
  const limit = Math.min(DISTANCE_MAX, Math.ceil(letters / 2));
  return best !== undefined && best.distance <= limit ? best.candidate : undefined;
}

/** Levenshtein distance with two rows. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, substitution);
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
