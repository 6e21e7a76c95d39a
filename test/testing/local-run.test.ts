import { expect, test } from "vitest";
import type { PullSource } from "../../src/inbox/source.ts";
import { type Pawl, rabbitmqStreamSource } from "../../src/index.ts";
import { type FakeStream, fakeSource, fakeStreamClient } from "../../src/testing/index.ts";
import { inboxApp, storedIds } from "../support/inbox-app.ts";
import { present } from "../support/present.ts";
import { until } from "../support/until.ts";

const numbers = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, i) => String(first + i));

/** Each id of these, once. */
const onceEach = (ids: readonly string[]) => new Map(ids.map((id) => [id, 1]));

/** Counts the requests under way, which take a turn or two. */
function counted(source: PullSource): { source: PullSource; readonly underWay: number } {
  let underWay = 0;
  const request: PullSource["request"] = async (...asked) => {
    underWay += 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
    const page = await source.request(...asked);
    underWay -= 1;
    return page;
  };
  return {
    source: { ...source, request },
    get underWay() {
      return underWay;
    },
  };
}

/** Windows that were asked for and have not ended. One that is only reserved was not sent. */
async function openWindows(pawl: Pawl): Promise<string[]> {
  const windows = await pawl.sources.windows({ limit: 1_000 });
  return windows
    .map((window) => window.state)
    .filter((state) => ["sent", "answered"].includes(state));
}

test("R37: the loader runs some cycles over fake sources until `stop()`: every id was fetched once, none twice, none is missing", async () => {
  const fakes = [
    fakeSource(40, { name: "first", limit: 7 }),
    fakeSource(25, { name: "second", limit: 10 }),
  ];
  const { pawl, becomes } = await inboxApp(
    fakes.map((fake) => fake.source),
    { work: false },
  );
  const worker = await pawl.work({ roles: ["loader", "mover"] });
  await until("a few idle cycles have followed", () =>
    fakes.every(({ requests }) => requests.filter(({ ids }) => ids.length === 0).length >= 3),
  );
  await becomes("first", { storedCount: 40 });
  await becomes("second", { storedCount: 25 });
  await worker.stop();
  for (const [fake, count] of [
    [fakes[0], 40],
    [fakes[1], 25],
  ] as const) {
    expect(fake?.fetched).toEqual(onceEach(numbers(1, count)));
    expect(await storedIds(pawl, fake?.source.name ?? "")).toEqual(numbers(1, count));
  }
  expect(await openWindows(pawl)).toEqual([]);
});

test("R37 R38: stopped in the middle, nothing is under way when `stop()` resolves, and the next run goes on where it was", async () => {
  const fake = fakeSource(300, { limit: 5 });
  const watched = counted(fake.source);
  const { pawl, becomes } = await inboxApp([watched.source], { work: false });
  const first = await pawl.work({ roles: ["loader", "mover"] });
  await until("some windows are loaded", () => fake.fetched.size >= 50);
  await first.stop();
  const { requested, received } = await present(pawl.sources.get("fake"));
  const asked = fake.requests.length;
  expect(watched.underWay).toBe(0);
  expect(await openWindows(pawl)).toEqual([]);
  expect(received).toBeLessThan(300);
  // what was asked for is what the database has: no answer was thrown away
  expect(fake.fetched).toEqual(onceEach(numbers(1, Number(requested))));
  expect(received).toBe(Number(requested));

  const second = await pawl.work({ roles: ["loader", "mover"] });
  await becomes("fake", { storedCount: 300 });
  await second.stop();
  expect(fake.requests[asked]?.after).toBe(requested);
  expect(fake.fetched).toEqual(onceEach(numbers(1, 300)));
  expect((await storedIds(pawl, "fake")).toSorted((a, b) => Number(a) - Number(b))).toEqual(
    numbers(1, 300),
  );
  expect((await present(pawl.sources.get("fake"))).duplicates).toBe(0);
});

function streamOf(fake: FakeStream) {
  return rabbitmqStreamSource({
    name: "orders",
    url: "amqp://localhost",
    stream: "orders",
    client: fake.client,
    limit: 6,
    prefetch: 20,
    retry: { delay: 10, factor: 1 },
  });
}

test("R37 R45 R47: the same with a fake stream client: from offset 0, over a lost connection and a `stop()`, every offset once", async () => {
  const stream = fakeStreamClient();
  const publish = (count: number) =>
    stream.publish(...Array.from({ length: count }, (_, n) => ({ n })));
  const { pawl, becomes } = await inboxApp([streamOf(stream)], { work: false });
  publish(50);
  const first = await pawl.work({ roles: ["loader", "mover"] });
  await becomes("orders", { storedCount: 50, stored: "49" });
  stream.cut();
  publish(30);
  await becomes("orders", { storedCount: 80, stored: "79" });
  await until("all are acknowledged", () => stream.acked === 79);
  await first.stop();
  expect(stream.unacked).toBe(0);
  publish(20);
  expect(stream.unacked).toBe(0); // nobody listens any more
  expect((await present(pawl.sources.get("orders"))).received).toBe(80);

  const second = await pawl.work({ roles: ["loader", "mover"] });
  await becomes("orders", { storedCount: 100, stored: "99" });
  await second.stop();
  expect(stream.subscribedFrom).toEqual([0, 50, 80]);
  expect(await storedIds(pawl, "orders")).toEqual(numbers(0, 99));
  expect((await present(pawl.sources.get("orders"))).duplicates).toBe(0);
  expect(await openWindows(pawl)).toEqual([]);
});
