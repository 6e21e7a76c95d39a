/** The observer `recorded`: told of what has committed, and of nothing else. */

import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AppOptions,
  connect,
  defineApp,
  defineCommand,
  defineJob,
  defineProcess,
  defineSource,
  type Pawl,
  type RecordedEvent,
  type WorkOptions,
} from "../../src/index.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

const ABOUT = { aggregate: ["order", 7], payload: {} } as const;

interface Heard {
  pawl: Pawl;
  url: string;
  /** Names of the events that were told, in that order. */
  names: () => string[];
  told: RecordedEvent[];
  /** Resolves when an event is told that was recorded after all others. */
  last: () => Promise<string[]>;
}

async function heard(options: AppOptions = {}, work: WorkOptions = {}): Promise<Heard> {
  const { url } = await freshDatabase({ longLeases: true });
  const pawl = await connect(defineApp(options), { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  const told: RecordedEvent[] = [];
  await pawl.work({
    ...work,
    on: {
      recorded: (event) => {
        told.push(event);
        throw new Error("an observer's own");
      },
    },
  });
  const names = () => told.map(({ eventName }) => eventName);
  let count = 0;
  const last = async () => {
    count += 1;
    const name = `last.${count}`;
    await pawl.transaction((tx) => pawl.record(name, ABOUT, { tx }));
    await until("the last one is told", () => names().includes(name));
    return names().filter((one) => !one.startsWith("last."));
  };
  return { pawl, url, names, told, last };
}

test("R119: it is told of each event with its id, name and aggregate, alone, by `sendTo` and by hand", async () => {
  const { pawl, told } = await heard({ destinations: {} });
  const { id } = await pawl.record("order.placed", ABOUT);
  expect(told).toEqual([
    { eventId: id, eventName: "order.placed", aggregateType: "order", aggregateId: "7" },
  ]);
  const byHand = await pawl.events.record("order.paid", ABOUT);
  await until("it is told", () => told.length === 2);
  expect(told[1]).toMatchObject({ eventId: byHand.id, eventName: "order.paid" });
  await expect(pawl.sendTo("null", "none", "order.lost", ABOUT)).rejects.toThrow("none");
  expect(told).toHaveLength(2);
});

test("R119 R78: what was recorded in a transaction is told after its commit, and never if it was rolled back", async () => {
  const { pawl, last } = await heard();
  await pawl.transaction(async (tx) => {
    await pawl.record("kept", ABOUT, { tx });
    await tx.query("savepoint one");
    await pawl.record("undone", ABOUT, { tx });
    await tx.query("rollback to savepoint one");
    expect(await last()).toEqual([]);
  });
  const thrown = pawl.transaction(async (tx) => {
    await pawl.record("thrown", ABOUT, { tx });
    throw new Error("changed my mind");
  });
  await expect(thrown).rejects.toThrow("changed my mind");
  expect(await last()).toEqual(["kept"]);
});

test("R119 R78: the same in a transaction of another library, whose commit nobody tells", async () => {
  const { pawl, url, names, last } = await heard();
  const client = await rawClient(url);
  await client.query("begin");
  await pawl.record("foreign.undone", ABOUT, { tx: client });
  await client.query("rollback");
  await client.query("begin");
  await pawl.record("foreign.kept", ABOUT, { tx: client });
  await pawl.record("foreign.also", ABOUT, { tx: client });
  expect(await last()).toEqual([]);
  await client.query("commit");
  await until("it is told", () => names().includes("foreign.also"));
  expect(await last()).toEqual(["foreign.kept", "foreign.also"]);
});

test("R119: events that handlers, commands and steps record are told", async () => {
  const input = z.object({});
  const job = defineJob({
    name: "tells",
    input,
    run: async (_, { tx }): Promise<void> => {
      await pawl.record("from.job", ABOUT, { tx });
    },
  });
  const command = defineCommand({
    name: "tells",
    run: ({ transaction }) =>
      transaction(async (_, { record }) => void (await record("from.command", ABOUT))),
  });
  const process = defineProcess({
    name: "tells",
    version: 1,
    input,
    steps: (s) =>
      s
        .tx("write", async ({ tx }): Promise<void> => {
          await pawl.record("from.step", ABOUT, { tx });
        })
        .send("send", { event: () => ({ name: "from.send", ...ABOUT }) }),
  });
  const { pawl, told, names } = await heard({
    jobs: [job],
    commands: [command],
    processes: [process],
  });
  await pawl.enqueue(job, {});
  await pawl.commands.run("tells");
  await pawl.start(process, {});
  await until("all are told", () => told.length === 4);
  expect(names().sort()).toEqual(["from.command", "from.job", "from.send", "from.step"]);
  const sent = told.find(({ eventName }) => eventName === "from.send");
  expect((await pawl.event(sent?.eventId ?? ""))?.name).toBe("from.send");
  expect(sent).toMatchObject({ aggregateType: "order", aggregateId: "7" });
});

test("R119 R46: of a batch of `store` that failed and was stored one by one, each event is told once", async () => {
  const source = defineSource({
    name: "numbers",
    start: "0",
    idle: "1h",
    order: "source",
    storeRetry: { attempts: 1 },
    fetch: async (after: string) =>
      after === "0" ? [1, 2, 3].map((n) => ({ id: String(n), name: "number", payload: n })) : [],
    store: async (batch, { record }) => {
      for (const { id } of batch) {
        await record(`stored.${id}`, ABOUT);
        if (id === "2") throw new Error("poison");
      }
    },
  });
  const { pawl, names, last } = await heard({ sources: [source] });
  await until("all are told", () => names().includes("stored.3"));
  const { setAside } = (await pawl.sources.get("numbers")) ?? {};
  expect(setAside).toBe(1);
  expect(await last()).toEqual(["stored.1", "stored.3"]);
});

test("R119: a worker that stops tells first what has committed, whatever its roles, and nothing afterwards", async () => {
  const { pawl } = await heard();
  const names: string[] = [];
  const on = { recorded: ({ eventName }: RecordedEvent) => void names.push(eventName) };
  const loader = await pawl.work({ roles: ["loader"], on });
  await pawl.transaction((tx) => pawl.record("before", ABOUT, { tx }));
  await loader.stop();
  expect(names).toEqual(["before"]);
  await pawl.record("after", ABOUT);
  expect(names).toEqual(["before"]);
});

test("R119: two workers with one observer tell it each event once, and one of them still does when the other has stopped", async () => {
  const { pawl } = await heard();
  const names: string[] = [];
  const on = { recorded: ({ eventName }: RecordedEvent) => void names.push(eventName) };
  const first = await pawl.work({ roles: ["loader"], on });
  const second = await pawl.work({ roles: ["loader"], on });
  await pawl.record("both", ABOUT);
  expect(names).toEqual(["both"]);
  await first.stop();
  await pawl.record("one", ABOUT);
  await pawl.transaction((tx) => pawl.record("one.in.transaction", ABOUT, { tx }));
  await second.stop();
  expect(names).toEqual(["both", "one", "one.in.transaction"]);
  await pawl.record("after", ABOUT);
  expect(names).toHaveLength(3);
});
