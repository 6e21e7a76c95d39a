import { describe, expect, test } from "vitest";
import type { Pawl } from "../../src/index.ts";
import { SOURCES, WINDOW_LIMIT } from "../support/inbox-child.ts";
import { endLeasesOf, type Loaders, withLoaders } from "../support/inbox-loaders.ts";
import { present } from "../support/present.ts";
import { until } from "../support/until.ts";

const EVENTS = 100;
/** So often the others are asked while a held source must not be. */
const MORE_REQUESTS = 60;

interface Scene extends Loaders {
  /** The cursor of the window in which it died. */
  after: string;
  /** How often that window had been asked for by then. */
  before: number;
}

/** A loader was killed at this point of the source's second window, and another one runs. */
function withLoaderKilledAt(
  point: string,
  source: string,
  work: (scene: Scene) => Promise<void>,
): Promise<void> {
  return withLoaders(EVENTS, async (scene) => {
    const { pawl, server, loaders, start } = scene;
    const victim = await start(`${point}:2:${source}`);
    await loaders.ended(victim);
    await endLeasesOf(pawl, [victim]);
    expect(loaders.killed).toEqual([victim]);
    const { requested: after } = await present(pawl.sources.get(source));
    expect(Number(after)).toBeGreaterThan(0);
    const before = server.asked(source, after);
    expect(before).toBe(point === "sent" ? 0 : 1);
    await start();
    await work({ ...scene, after, before });
  });
}

async function isLoaded(pawl: Pawl, name: string): Promise<boolean> {
  const { storedCount, stored } = await present(pawl.sources.get(name));
  return storedCount === EVENTS && stored === String(EVENTS);
}

/** The loader may have died in a window of this one too. */
async function goesOn(pawl: Pawl, name: string): Promise<void> {
  await until(`${name} goes on`, async () => {
    const { status } = await present(pawl.sources.get(name));
    if (status === "held") await pawl.sources.retry(name, { why: "the feed only reads" });
    return isLoaded(pawl, name);
  });
}

/** By the table where its events end up; of that without a unique index too. */
async function storedIds(pawl: Pawl, name: string): Promise<number[]> {
  const isHandled = SOURCES.some((source) => source.name === name && source.store !== null);
  const rows = await pawl.store.rows<{ id: string }>(
    isHandled
      ? "select id from handled order by id::int"
      : `select e.event_id as id from pawl.stored_event e join pawl.source s on s.id = e.source_id
          where s.name = '${name}' order by e.event_id::int`,
  );
  return rows.map((row) => Number(row.id));
}

const allIds = Array.from({ length: EVENTS }, (_, i) => i + 1);

describe("a loader that is killed", () => {
  test.each([
    ["after the answer, before it is kept", "answered", "pulled"],
    ["after the answer, before its events are kept", "answered", "fetched"],
    ["before the request goes out, which nobody can know", "sent", "handled"],
  ])(
    "R43: %s: by the server's count there is no other request before the operator decides",
    (_, point, name) =>
      withLoaderKilledAt(point, name, async ({ pawl, server, after, before }) => {
        await until(
          "it is held",
          async () => (await present(pawl.sources.get(name))).status === "held",
        );
        for (const { name: other } of SOURCES) if (other !== name) await goesOn(pawl, other);
        const seen = server.requests.length;
        await until("the others were asked again and again", () => {
          return server.requests.length >= seen + MORE_REQUESTS;
        });
        expect(server.asked(name, after)).toBe(before);
        expect(server.requests.slice(seen).some((one) => one.source === name)).toBe(false);
        const held = await present(pawl.sources.get(name));
        expect(held).toMatchObject({ status: "held", heldFault: "unknown", requested: after });
        expect(held.error).toContain("it may have been executed");

        await pawl.sources.retry(name, { why: "the feed only reads" });
        await until("it is loaded", () => isLoaded(pawl, name));
        expect(server.asked(name, after)).toBe(before + 1);
        expect(await storedIds(pawl, name)).toEqual(allIds);
      }),
  );

  test.each([
    ["after the answer, before it is kept", "answered", "pulled-again"],
    ["after the answer, before its events are kept", "answered", "fetched-again"],
    ["before the request goes out", "sent", "pulled-again"],
  ])(
    'R43 R46: %s, with `unknown: "retry"`: the server is asked once more, and each event is stored once',
    (_, point, name) =>
      withLoaderKilledAt(point, name, async ({ pawl, server, after, before }) => {
        await until("it is loaded", () => isLoaded(pawl, name));
        expect(server.asked(name, after)).toBe(before + 1);
        expect(await storedIds(pawl, name)).toEqual(allIds);
        const windows = await pawl.sources.windows({ source: name, state: "done" });
        const window = windows.find((one) => one.afterCursor === after);
        expect(window).toMatchObject({ attempt: 2, events: WINDOW_LIMIT, duplicates: 0 });
      }),
  );
});
