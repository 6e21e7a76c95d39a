// Rows of results, and how they are shown: JSON for programs, a table for people.

/** Medians, since one slow moment of the machine must not decide. NaN of nothing. */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const isOdd = sorted.length % 2 === 1;
  return isOdd ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The smallest value that is not below `share` of all; 1 is the largest. NaN of nothing. */
export function percentile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(Math.ceil(sorted.length * share) - 1, 0)] ?? Number.NaN;
}

export function perSecond(tasks, ms) {
  return (tasks / ms) * 1_000;
}

/** `ratio`: ours over the best peer's, null without peers. */
export function row({ name, unit, pawl, peers = {}, ...extra }) {
  const best = Math.max(...Object.values(peers));
  const isCompared = pawl !== null && Number.isFinite(best);
  const rounded = Object.entries(peers).map(([peer, value]) => [peer, Math.round(value)]);
  return {
    name,
    unit,
    pawl: pawl === null ? null : Math.round(pawl),
    peers: Object.fromEntries(rounded),
    ratio: isCompared ? ratio(pawl, best) : null,
    ...extra,
  };
}

/** A row of ours alone. */
export function measured({ name, unit, value, digits = 2 }) {
  return { name, unit, pawl: Number(value.toFixed(digits)), peers: {}, ratio: null };
}

export function ratio(value, to) {
  return Math.round((value / to) * 100) / 100;
}

export function table(rows) {
  const peers = [...new Set(rows.flatMap((one) => Object.keys(one.peers)))];
  const lines = [
    ["benchmark", "unit", "pawl", ...peers, "ratio"],
    ...rows.map((one) => [
      one.name,
      one.unit,
      shown(one.pawl),
      ...peers.map((peer) => shown(one.peers[peer])),
      one.ratio === null ? "–" : one.ratio.toFixed(2),
    ]),
  ];
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  const shownLines = lines.map((line) =>
    line.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "),
  );
  return shownLines.join("\n");
}

function shown(value) {
  return value === undefined || value === null ? "–" : value.toLocaleString("en");
}
