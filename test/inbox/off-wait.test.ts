import { expect, test } from "vitest";
import { defineSource } from "../../src/index.ts";
import { pawlJson, start } from "../cli/cli.ts";
import { events, inboxApp } from "../support/inbox-app.ts";
import { until } from "../support/until.ts";

test("R103a: `off all --wait` waits for the request and for the batch under way, and no batch begins after it", async () => {
  const answers: (() => void)[] = [];
  const batches: (() => void)[] = [];
  const held = (list: (() => void)[]) => new Promise<void>((resolve) => list.push(resolve));
  const orders = defineSource({
    name: "orders",
    gap: 0,
    limit: 2,
    order: "source",
    storeBatch: 1,
    // both are held while a process starts
    timeout: "10m",
    storeTimeout: "10m",
    fetch: async (after) => {
      if (after !== "0") await held(answers);
      return events(Number(after) + 1, Number(after) + 2);
    },
    store: () => held(batches),
  });
  const { url, source, pawl } = await inboxApp([orders]);
  await until("a request and a batch are under way", () => answers.length + batches.length === 2);

  const off = start(["off", "all", "--wait", "--json"], { url });
  await until("it says what is left", () => off.stderr().endsWith("\n"));
  expect(off.stderr()).toBe(
    "pawl: all is off, still running: source:orders, 1 batch being stored\n",
  );
  answers[0]?.();
  await until("nobody loads it", async () => (await source("orders")).loadingSince === null);
  expect(off.process.exitCode).toBeNull();
  batches[0]?.();
  const { code, stdout } = await off.finished;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ scope: "all", running: 0, leases: [], batches: 0 });
  // what was under way is kept, and nothing else has begun
  expect(await source("orders")).toMatchObject({ requested: "4", storedCount: 1, backlog: 3 });
  expect([answers.length, batches.length]).toEqual([1, 1]);

  await pawl.on("all");
  await until("it goes on", () => batches.length === 2 && answers.length === 2);
  for (const end of [...answers, ...batches]) end();
});

test("R103a: `off all --wait` does not wait for the next request of a source with a long gap, nor does a stop", async () => {
  const rare = defineSource({
    name: "rare",
    gap: "10h",
    limit: 2,
    fetch: async (after) => events(Number(after) + 1, Number(after) + 2),
  });
  const { url, becomes, pawl } = await inboxApp([rare], { work: false });
  const worker = await pawl.work();
  await becomes("rare", { storedCount: 2, status: "waiting" });
  const { line } = await pawl.sources.why("rare");
  expect(line).toMatch(/^asked last at .*, next in 9h \d+m after cursor "2"$/);
  const { code, json } = await pawlJson(["off", "all", "--wait"], { url });
  expect([code, json]).toEqual([0, expect.objectContaining({ leases: [], batches: 0 })]);
  expect(await worker.stop(0)).toEqual({ givenBack: 0 });
});

test("R103a: after `off all` no bytes that a person retries are decoded, though the mover had seen them before", async () => {
  let decoded = 0;
  let letGo: (() => void) | undefined;
  const long = defineSource({
    name: "long",
    fetch: async (after) => (after === "0" ? events(1, 1) : []),
    store: () =>
      new Promise<void>((resolve) => {
        letGo = resolve;
      }),
  });
  const torn = defineSource({
    name: "torn",
    fetch: async (after) => (after === "0" ? [{ id: "1", raw: Buffer.from("a"), error: "?" }] : []),
    decode: () => {
      decoded += 1;
      return { id: "1", payload: null };
    },
  });
  const { becomes, pawl } = await inboxApp([long, torn], { work: { roles: ["loader"] } });
  await becomes("long", { backlog: 1 });
  await becomes("torn", { setAside: 1 });
  const [aside] = await pawl.inbox.list();
  await pawl.inbox.retry([aside?.number ?? ""]);
  const mover = await pawl.work({ roles: ["mover"] });
  const end = await until("a batch is being stored", () => letGo);
  await pawl.off("all");
  end();
  await becomes("long", { storedCount: 1 });
  await mover.stop();
  expect(decoded).toBe(0);
});
