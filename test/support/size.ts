/** How large a random race is: `npm run faults` runs it in its full size, `npm test` in a smaller one. */

export function size(usual: number, full: number): number {
  return process.env.PAWL_FAULTS === "full" ? full : usual;
}
