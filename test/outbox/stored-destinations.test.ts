import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp } from "../../src/index.ts";
import type { HandlerContext } from "../../src/kernel/task.ts";
import { deliverer } from "../../src/outbox/deliver.ts";
import type { DestinationType } from "../../src/outbox/destinations/types.ts";
import { StoredDestinations } from "../../src/outbox/stored-destinations.ts";
import { openSender } from "../../src/sender/sender.ts";
import type { Store } from "../../src/store/store.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";

/** Tells by which config something was delivered, and what was closed. */
function telling() {
  const delivered: unknown[] = [];
  const closed: unknown[] = [];
  const type: DestinationType = {
    type: "telling",
    label: "Telling",
    fields: { word: { kind: "text", label: "Word" } },
    define: ({ word }) => ({
      type: "telling",
      config: { word },
      timeoutMs: 60_000,
      deliver: async () => {
        delivered.push(word);
        return { summary: "told" };
      },
      close: async () => {
        closed.push(word);
      },
    }),
  };
  return { type, delivered, closed };
}

async function catalogue(type: DestinationType) {
  const { url } = await freshDatabase();
  const app = defineApp({ destinationTypes: [type] });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  atEnd(() => pawl.close());
  const put = (name: string, word: string, isNew = true) =>
    isNew
      ? pawl.destinations.add({ name, type: "telling", config: { word } })
      : pawl.destinations.edit(name, { word });
  return { pawl, put };
}

test("what a removed destination had opened is closed", async () => {
  const { type, closed } = telling();
  const { pawl, put } = await catalogue(type);
  await put("first", "one");
  const stored = new StoredDestinations(pawl.store, [type]);
  expect(await stored.ofQueue("destination:first")).toMatchObject({ name: "first" });
  await pawl.destinations.remove("first");
  await put("second", "two");
  closed.splice(0);
  expect(await stored.ofQueue("destination:second")).toMatchObject({ name: "second" });
  expect(closed).toEqual(["one"]);
});

test("a destination that is added while the others are read is not taken for a removed one", async () => {
  const { type } = telling();
  const { pawl, put } = await catalogue(type);
  await put("first", "one");
  let whileReading: (() => Promise<void>) | undefined;
  const executor: Store = {
    ...pawl.store,
    rows: async (text, values) => {
      const rows = await pawl.store.rows(text, values);
      await whileReading?.();
      return rows as never;
    },
  };
  const stored = new StoredDestinations(executor, [type]);
  await stored.ofQueue("destination:first");
  let added: ReturnType<typeof stored.ofQueue> | undefined;
  whileReading = async () => {
    whileReading = undefined;
    await put("second", "two");
    added = stored.ofQueue("destination:second");
  };
  expect(await stored.ofQueue("destination:unknown")).toBeUndefined();
  expect(await added).toMatchObject({ name: "second" });
});

test("a delivery whose destination is changed while its event loads goes out by the new config", async () => {
  const { type, delivered, closed } = telling();
  const { pawl, put } = await catalogue(type);
  await put("first", "old");
  const order = (no: number) =>
    pawl.record("order.placed", { aggregate: ["order", no], payload: {} });
  const [one, two] = [await order(1), await order(2)];
  let whileLoading: (() => Promise<void>) | undefined;
  const executor: Store = {
    ...pawl.store,
    rows: async (text, values) => {
      const rows = await pawl.store.rows(text, values);
      if (text.includes("pawl.event ")) await whileLoading?.();
      return rows as never;
    },
  };
  const http = openSender();
  const { handlers } = await deliverer({ executor, destinations: [], types: [type], http });
  const run = (queue: string, event: { id: string }) =>
    handlers[0]?.run({ event: event.id }, contextOf(queue));
  whileLoading = async () => {
    whileLoading = undefined;
    await put("first", "new", false);
    await put("second", "other");
    closed.splice(0);
    await run("destination:second", two); // which is not known yet: all are read anew
  };
  await run("destination:first", one);
  expect(closed).toEqual(["old"]);
  expect(delivered).toEqual(["other", "new"]);
});

function contextOf(queue: string): HandlerContext {
  const { signal } = new AbortController();
  return {
    queue,
    taskId: "1",
    attempt: 1,
    signal,
    log: silentLogger,
  } as Partial<HandlerContext> as HandlerContext;
}
