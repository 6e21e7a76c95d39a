import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineSource,
  type Pawl,
  SourceAnswered,
  type SourceDefinition,
  type SourceEvent,
  SourceUnavailable,
} from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { type DatabaseProxy, databaseProxy } from "../support/database-proxy.ts";
import { events, storedIds } from "../support/inbox-app.ts";
import { present } from "../support/present.ts";
import { until } from "../support/until.ts";

const QUICK = {
  gap: 0,
  limit: 10,
  idle: "20ms",
  retry: { delay: 10, factor: 1 },
  // nobody can renew it while the database is away: a busy machine must not outlast it
  lease: "10m",
} as const;
const COUNT = 30;
/** The window in which the database goes away. */
const AFTER = "10";

interface Scene {
  /** Reaches the database whether or not it is away from the loader. */
  pawl: Pawl;
  proxy: DatabaseProxy;
  asked: string[];
}

/** A source that is loaded through the proxy; while the second window is asked for, the database goes away. */
async function scene(
  define: (asking: (after: string) => void) => SourceDefinition,
): Promise<Scene> {
  const { url } = await freshDatabase({ longLeases: true });
  const proxy = await databaseProxy(url);
  const asked: string[] = [];
  const source = define((after) => {
    asked.push(after);
    if (after === AFTER && asked.filter((one) => one === AFTER).length === 1) proxy.goAway();
  });
  const app = defineApp({ sources: [source] });
  const near = await connect(app, { databaseUrl: proxy.url, log: silentLogger, connections: 3 });
  onTestFinished(() => near.close());
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger, connections: 2 });
  onTestFinished(() => pawl.close());
  await near.work({ roles: ["loader", "mover"] });
  return { pawl, proxy, asked };
}

const page = (after: string) => events(Number(after) + 1, Math.min(Number(after) + 10, COUNT));

/** Of a source whose `fetch` answers so. */
const fetching = (answer: (after: string) => SourceEvent[]): Promise<Scene> =>
  scene((asking) =>
    defineSource({
      ...QUICK,
      name: "orders",
      fetch: async (after) => {
        asking(after);
        return answer(after);
      },
    }),
  );

/** The answer is there and the database is not: it is tried again and again meanwhile. */
async function awayForAMoment({ pawl, proxy }: Scene): Promise<void> {
  await until("keeping it was tried several times", () => proxy.turnedAway >= 6);
  const [window] = await pawl.sources.windows({ source: "orders", state: "sent" });
  expect(window).toMatchObject({ afterCursor: AFTER, answeredAt: null });
  proxy.comeBack();
}

async function expectLoaded({ pawl, asked }: Scene): Promise<void> {
  await until("all is stored", async () => {
    return (await present(pawl.sources.get("orders"))).storedCount === COUNT;
  });
  expect(asked.filter((after) => after === AFTER)).toHaveLength(1);
  expect((await storedIds(pawl, "orders")).map(Number).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: COUNT }, (_, i) => i + 1),
  );
  const { duplicates, status, failures } = await present(pawl.sources.get("orders"));
  expect({ duplicates, failures }).toEqual({ duplicates: 0, failures: 0 });
  expect(status).not.toBe("held");
}

test("R41 R42: the database is away when an answer is there: its bytes are kept once it is back, and not asked for again", async () => {
  const there = await scene((asking) =>
    defineSource({
      ...QUICK,
      name: "orders",
      request: async ({ after }) => {
        asking(after);
        return { bytes: Buffer.from(after) };
      },
      parse: ({ bytes }) => ({ events: page(Buffer.from(bytes).toString()) }),
    }),
  );
  await awayForAMoment(there);
  await expectLoaded(there);
});

test("R41 R42: so are the events of a source that answers events at once", async () => {
  const there = await fetching(page);
  await awayForAMoment(there);
  await expectLoaded(there);
});

test("R43: an answer that is an error is still known to be one when the database is back", async () => {
  const there = await fetching((after) => {
    if (after === AFTER) throw new SourceAnswered("500 Internal Server Error");
    return page(after);
  });
  await awayForAMoment(there);
  const { pawl, asked } = there;
  const held = await until("it is held", async () => {
    const source = await present(pawl.sources.get("orders"));
    return source.status === "held" && source;
  });
  expect(held).toMatchObject({ heldFault: "answered", error: "500 Internal Server Error" });
  expect(asked.filter((after) => after === AFTER)).toHaveLength(1);
});

test("R43: a network that takes the source and the database away together needs no operator", async () => {
  let refusals = 1;
  const there = await fetching((after) => {
    if (after === AFTER && refusals-- > 0)
      throw new SourceUnavailable("no route to host", { sent: "no" });
    return page(after);
  });
  await awayForAMoment(there);
  const { pawl, asked } = there;
  await until("all is stored", async () => {
    return (await present(pawl.sources.get("orders"))).storedCount === COUNT;
  });
  expect(asked.filter((after) => after === AFTER)).toHaveLength(2);
});
