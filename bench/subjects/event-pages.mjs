// An in-process source: pages of events as an API would answer them, made as fast as they are asked for.
const PAYLOAD = { order: 42, sku: "AB-1234", quantity: 3, total: 99.5, currency: "EUR" };

/** Events behind `after`, at most `limit`, of `count` in all. */
export function eventPage(after, limit, count) {
  const first = Number(after) + 1;
  const length = Math.max(Math.min(limit, count - first + 1), 0);
  return Array.from({ length }, (_, i) => ({
    id: String(first + i),
    name: "order.changed",
    occurredAt: "2030-01-31T12:00:00.000Z",
    payload: { ...PAYLOAD, n: first + i },
  }));
}
