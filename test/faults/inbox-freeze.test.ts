import { expect, test } from "vitest";
import { WINDOW_LIMIT } from "../support/inbox-child.ts";
import { endLeasesOf, type Loaders, withLoaders } from "../support/inbox-loaders.ts";
import { present } from "../support/present.ts";
import { until } from "../support/until.ts";

const EVENTS = 100;
/** Of the one that is frozen beyond it; until then it has to keep it on a busy machine. */
const LEASE_MS = 10_000;

interface Scene extends Loaders {
  frozen: number;
  other: number;
  /** The cursor of the window in which it was frozen. */
  after: string;
}

/** A loader was frozen at this point of the source's second window, and another one is there. */
function withLoaderFrozenAt(
  point: string,
  source: string,
  work: (scene: Scene) => Promise<void>,
): Promise<void> {
  return withLoaders(EVENTS, async (scene) => {
    const { pawl, start } = scene;
    const frozen = await start(`${point}:2:${source}`, "SIGSTOP", LEASE_MS);
    await until("its lease has run out", async () => {
      const [lease] = await pawl.store.rows<{ epoch: string; is_over: boolean }>(
        "select epoch, lease_until < pawl.now() as is_over from pawl.lease where name = $1",
        [`source:${source}`],
      );
      const { windowState: state } = await present(pawl.sources.get(source));
      return lease?.is_over === true && state === "sent";
    });
    const { requested: after } = await present(pawl.sources.get(source));
    await work({ ...scene, frozen, other: await start(), after });
  });
}

/** Wakes it, and lets it load what is new: whatever it had begun before has ended then. */
async function thaw({ pawl, server, loaders, frozen, other }: Scene, source: string) {
  process.kill(frozen, "SIGCONT");
  await loaders.drained(other);
  server.release(EVENTS + WINDOW_LIMIT);
  await until("the thawed process has loaded more", async () => {
    const [window] = await pawl.sources.windows({ source, state: "done" });
    return window?.holder?.endsWith(` ${frozen}`) && window.afterCursor === String(EVENTS);
  });
}

const holderOf = async ({ pawl, after }: Scene, source: string) => {
  const windows = await pawl.sources.windows({ source, limit: 100 });
  return windows.filter((one) => one.afterCursor === after);
};

/** Each event once, and which request's answer the frozen window's are from. */
async function expectStored({ pawl, after }: Scene, source: string, request: number) {
  await until("all is stored", async () => {
    return (await present(pawl.sources.get(source))).storedCount === EVENTS + WINDOW_LIMIT;
  });
  const rows = await pawl.store.rows<{ id: number; request: number }>(
    `select e.event_id::int as id, (e.payload ->> 'request')::int as request
       from pawl.stored_event e join pawl.source s on s.id = e.source_id where s.name = $1 order by 1`,
    [source],
  );
  expect(rows.map(({ id }) => id)).toEqual(
    Array.from({ length: EVENTS + WINDOW_LIMIT }, (_, i) => i + 1),
  );
  const theirs = rows.filter(({ id }) => id > Number(after) && id <= Number(after) + WINDOW_LIMIT);
  expect(new Set(theirs.map((row) => row.request))).toEqual(new Set([request]));
  // refused as late, not dropped as known
  expect((await present(pawl.sources.get(source))).duplicates).toBe(0);
}

/** The numbers, among all requests, of those for this window. */
function requestsFor({ server, after }: Scene, source: string): number[] {
  return server.requests.flatMap((one, i) =>
    one.source === source && one.after === after ? [i + 1] : [],
  );
}

test.each([
  ["an answer that it would keep", "pulled-again"],
  ["events that it would store", "fetched-again"],
])(
  "R39 R41 R46: a loader frozen beyond its lease with %s: another one takes over, and its late answer is refused",
  (_, source) =>
    withLoaderFrozenAt("answered", source, async (scene) => {
      const { pawl, other } = scene;
      await until("the other has stored all", async () => {
        return (await present(pawl.sources.get(source))).storedCount === EVENTS;
      });
      const before = requestsFor(scene, source);
      expect(before).toHaveLength(2); // the one whose answer it has in its hands, and the other's
      await thaw(scene, source);
      await expectStored(scene, source, before[1] ?? 0);
      expect(requestsFor(scene, source)).toEqual(before);
      const [window, ...more] = await holderOf(scene, source);
      expect(more).toEqual([]);
      expect(window).toMatchObject({ state: "done", attempt: 2, duplicates: 0 });
      expect(window?.holder).toMatch(new RegExp(` ${other}$`));
    }),
);

test("R41 R43: where unknown outcomes hold, the late answer of a frozen loader changes nothing: the operator decides", () =>
  withLoaderFrozenAt("answered", "pulled", async (scene) => {
    const { pawl, frozen, loaders, server } = scene;
    await until(
      "it is held",
      async () => (await present(pawl.sources.get("pulled"))).status === "held",
    );
    const held = await present(pawl.sources.get("pulled"));
    process.kill(frozen, "SIGCONT");
    await loaders.drained(frozen); // what it had in its hands has been tried
    expect(await present(pawl.sources.get("pulled"))).toMatchObject({
      status: "held",
      heldFault: "unknown",
      heldAt: held.heldAt,
      windowState: "held",
      hasPage: false,
      received: held.received,
    });
    server.release(EVENTS + WINDOW_LIMIT);
    await pawl.sources.retry("pulled", { why: "the feed only reads" });
    await until("all is asked for", async () => {
      return (
        (await present(pawl.sources.get("pulled"))).requested === String(EVENTS + WINDOW_LIMIT)
      );
    });
    const [, second] = requestsFor(scene, "pulled");
    await expectStored(scene, "pulled", second ?? 0);
  }));

test("R40 R41: a loader frozen just before its request does not send it when it wakes: somebody else has", () =>
  withLoaderFrozenAt("sent", "fetched-again", async (scene) => {
    const { pawl } = scene;
    await until("the other has stored all", async () => {
      return (await present(pawl.sources.get("fetched-again"))).storedCount === EVENTS;
    });
    const before = requestsFor(scene, "fetched-again");
    expect(before).toHaveLength(1);
    await thaw(scene, "fetched-again");
    expect(requestsFor(scene, "fetched-again")).toEqual(before);
    await expectStored(scene, "fetched-again", before[0] ?? 0);
  }));

test("R46: a mover frozen in the middle of a batch: other processes connect, and store its events once its transaction is over", async () => {
  await withLoaders(EVENTS, async ({ pawl, start, loaders }) => {
    const frozen = await start("store:1:handled", "SIGSTOP");
    await until("it is frozen with its batch open", async () => {
      const rows = await pawl.store.rows(
        "select from pg_stat_activity where datname = current_database() and state = 'idle in transaction' and query like '%into handled%'",
      );
      return rows.length > 0; // both of its lanes may be in the middle of one
    });
    await endLeasesOf(pawl, [frozen]);
    const other = await start();
    await until("the other has stored all", async () => {
      const source = await present(pawl.sources.get("handled"));
      // the frozen process may also have a request of this source under way
      if (source.status === "held")
        await pawl.sources.retry("handled", { why: "the feed only reads" });
      return source.storedCount === EVENTS;
    });
    process.kill(frozen, "SIGCONT");
    await loaders.drained(other);
    await loaders.drained(frozen);
    const rows = await pawl.store.rows<{ id: string }>("select id from handled");
    expect(rows).toHaveLength(EVENTS);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(EVENTS);
  });
});
