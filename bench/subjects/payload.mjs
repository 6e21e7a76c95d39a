// The same trivial tasks for every subject: about 70 bytes of JSON each, written 1,000 at a time.
export const BATCH = 1_000;

/** @yields {{ id: number, to: string, subject: string }[]} */
export function* batches(tasks) {
  for (let first = 0; first < tasks; first += BATCH) {
    const size = Math.min(BATCH, tasks - first);
    yield Array.from({ length: size }, (_, i) => ({
      id: first + i,
      to: "someone@example.com",
      subject: "hello world from bench",
    }));
  }
}

/** Writes all batches one after the other through `write`; answers the milliseconds. */
export async function timeEnqueue(tasks, write) {
  const all = [...batches(tasks)];
  const start = performance.now();
  for (const batch of all) await write(batch);
  return performance.now() - start;
}

/** About 200 bytes, as many events have. */
export const WEBHOOK_PAYLOAD = {
  total: 1299,
  currency: "EUR",
  customer: { id: 4711, email: "someone@example.com" },
  items: [
    { sku: "sku-1", quantity: 2 },
    { sku: "sku-2", quantity: 1 },
  ],
  note: "please leave it at the door",
};
