/** A type of destinations as an app would add it: it appends events to a file, one JSON object a line. */

import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, type Pawl } from "../../src/index.ts";
import { defineDestinationType } from "../../src/outbox/destinations/registry.ts";
import type { DestinationType } from "../../src/outbox/destinations/types.ts";
import { on } from "../../src/outbox/routes.ts";
import { deliveriesOf } from "../../src/outbox/sql.ts";
import { whyEvent } from "../../src/outbox/why.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

let closed = 0;

const fileType = defineDestinationType({
  type: "file",
  label: "Append to a file",
  fields: {
    path: { kind: "text", label: "Path", required: true },
    format: { kind: "choice", label: "Line", choices: ["event", "payload"], default: "event" },
  },
  define: ({ path, format = "event" }) => {
    if (typeof path !== "string" || path === "") {
      throw new PawlError("invalid_option", "file destination: expected `path` to be a path");
    }
    return {
      type: "file",
      config: { path, format },
      retry: { attempts: 3, delays: ["20ms"] },
      timeoutMs: 60_000,
      deliver: async ({ event, deliveryId, destinationId, destinationKey }) => {
        const line = format === "payload" ? event.payload : event;
        const ids = { deliveryId, destinationId, destinationKey };
        appendFileSync(path, `${JSON.stringify({ line, ids })}\n`);
        return { summary: `appended to ${path}` };
      },
      close: async () => {
        closed += 1;
      },
    };
  },
});

const folder = mkdtempSync(join(os.tmpdir(), "pawl-file-type-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ORDER = { aggregate: ["order", 7], payload: { total: 9 } } as const;

function linesOf(path: string): { line: unknown; ids: Record<string, string> }[] {
  const text = readFileSync(path, { encoding: "utf8", flag: "a+" });
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

async function connected(app: Parameters<typeof defineApp>[0], url?: string): Promise<Pawl> {
  const databaseUrl = url ?? (await freshDatabase({ longLeases: true })).url;
  const pawl = await connect(defineApp(app), { databaseUrl, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

async function put(pawl: Pawl, destination: Record<string, unknown>, isNew = true): Promise<void> {
  const queue = { retry: { attempts: 1, delays_ms: [1], jitter: 0 }, timeout_ms: 60_000 };
  await pawl.store.rows("select pawl.put_destination_v1($1, $2, '{}', 'ada', null)", [
    { queue, ...destination },
    isNew,
  ]);
}

describe("a type of the app's own", () => {
  test("R83, R88: is used in code through its define, and is given the delivery's ids", async () => {
    const path = join(folder, "code.ndjson");
    const pawl = await connected({
      destinations: { archive: fileType.define({ path }) },
      routes: [on("order.*").to("archive")],
    });
    const { id } = await pawl.record("order.placed", ORDER);
    const worker = await pawl.work();
    await until("a line is there", () => linesOf(path).length > 0);
    const [delivery] = await deliveriesOf(pawl.store, id);
    expect(linesOf(path)).toEqual([
      {
        line: expect.objectContaining({ id, name: "order.placed", payload: { total: 9 } }),
        ids: {
          deliveryId: delivery?.id,
          destinationId: expect.stringMatching(/^\d+$/),
          destinationKey: "archive",
        },
      },
    ]);
    const before = closed;
    await worker.stop();
    expect(closed).toBe(before + 1);
  });

  test("R83, R88: an operator's destination of it is delivered by a worker that has the type, with its newest config", async () => {
    const pawl = await connected({ destinationTypes: [fileType] });
    await pawl.work();
    const [first, second] = [join(folder, "first.ndjson"), join(folder, "second.ndjson")];
    await put(pawl, { name: "archive", type: "file", config: { path: first, format: "payload" } });
    await pawl.sendTo("file", "archive", "order.placed", ORDER);
    await until("a line is there", () => linesOf(first).length > 0);
    expect(linesOf(first)).toEqual([
      {
        line: { total: 9 },
        ids: {
          deliveryId: expect.stringMatching(/^\d+$/),
          destinationId: expect.stringMatching(/^\d+$/),
          destinationKey: "archive",
        },
      },
    ]);
    await put(pawl, { name: "archive", type: "file", config: { path: second } }, false);
    await until("the change has reached the worker", async () => {
      await pawl.sendTo("file", "archive", "order.placed", ORDER);
      return linesOf(second).length > 0;
    });
  });

  test("R83: one whose closing throws keeps no other from being delivered when it is changed", async () => {
    const [path, fresh] = [join(folder, "untouched.ndjson"), join(folder, "fresh.ndjson")];
    const close = () => {
      throw new Error("it was never open");
    };
    const throwing = defineDestinationType({
      ...fileType,
      define: (config) => ({ ...fileType.define(config), close }),
    });
    const pawl = await connected({ destinationTypes: [throwing] });
    await put(pawl, {
      name: "changed",
      type: "file",
      config: { path: join(folder, "old.ndjson") },
    });
    await put(pawl, { name: "untouched", type: "file", config: { path } });
    await pawl.work();
    await pawl.sendTo("file", "untouched", "order.placed", ORDER);
    await until("one is delivered", () => linesOf(path).length === 1);
    await pawl.destinations.edit("changed", { path: fresh });
    await until("the change has reached the worker", async () => {
      await pawl.sendTo("file", "changed", "order.placed", ORDER);
      return linesOf(fresh).length > 0;
    });
    const { id } = await pawl.sendTo("file", "untouched", "order.placed", ORDER);
    await until("it is delivered", async () => (await pawl.event(id))?.status === "published");
  });

  test("R83: a worker without the type leaves its deliveries waiting, says so, and one with it takes them", async () => {
    const { url } = await freshDatabase({ longLeases: true });
    const without = await connected({ name: "without" }, url);
    const path = join(folder, "waiting.ndjson");
    await put(without, { name: "archive", type: "file", config: { path } });
    await without.work();
    const { id } = await without.sendTo("file", "archive", "order.placed", ORDER);
    const why = await until("nobody takes it", async () => {
      const [delivery] = (await whyEvent(without.store, id))?.deliveries ?? [];
      return delivery?.reasons[0]?.reason === "no_worker" && delivery;
    });
    expect(why.line).toContain("delivery:file");
    expect((await without.event(id))?.status).toBe("pending");
    expect(linesOf(path)).toEqual([]);

    const withType = await connected({ name: "with", destinationTypes: [fileType] }, url);
    await withType.work();
    await until("it is delivered", () => linesOf(path).length === 1);
  });

  test("R83: a config that its type refuses fails each delivery with what is wrong, and nothing else", async () => {
    const path = join(folder, "beside.ndjson");
    const pawl = await connected({ destinationTypes: [fileType] });
    await put(pawl, { name: "broken", type: "file", config: {} });
    await put(pawl, { name: "good", type: "file", config: { path } });
    await pawl.work();
    const { id } = await pawl.sendTo("file", "broken", "order.placed", ORDER);
    await pawl.sendTo("file", "good", "order.placed", ORDER);
    const dead = await until("the broken one is dead", async () => {
      const [delivery] = await deliveriesOf(pawl.store, id);
      return delivery?.status === "dead" && delivery;
    });
    expect(dead.error?.message).toContain("expected `path` to be a path");
    await until("the other is delivered", () => linesOf(path).length === 1);
  });
});

describe("a type that cannot be is refused:", () => {
  test.each<[string, Partial<Record<keyof DestinationType, unknown>>]>([
    ["no name", { type: "" }],
    ["a name with a colon", { type: "a:b" }],
    ["no label", { label: "" }],
    ["no fields", { fields: null }],
    ["no define", { define: {} }],
  ])("%s", (_, change) => {
    const type = { ...fileType, ...change } as DestinationType;
    const refused = expect.objectContaining({ code: "invalid_option" });
    expect(() => defineDestinationType(type)).toThrow(refused);
    expect(() => defineApp({ destinationTypes: [type] })).toThrow(refused);
  });

  test("R83: one under the name of another, Pawl's included", () => {
    const refused = expect.objectContaining({ code: "duplicate_name" });
    for (const name of ["webhook", "rabbitmq", "job", "flow", "null"]) {
      const type = { ...fileType, type: name };
      expect(() => defineApp({ destinationTypes: [type] })).toThrow(refused);
    }
    expect(() => defineApp({ destinationTypes: [fileType, fileType] })).toThrow(refused);
  });
});
