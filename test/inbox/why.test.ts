import os from "node:os";
import { expect, onTestFinished, test } from "vitest";
import {
  defineSource,
  SourceAnswered,
  SourceUnavailable,
  type WorkOptions,
} from "../../src/index.ts";
import { here, hereJson } from "../cli/here.ts";
import { fleet } from "../support/fleet.ts";
import { events, type InboxApp, inboxApp, upTo } from "../support/inbox-app.ts";
import { inboxApp as childApp, SET_UP, SOURCES } from "../support/inbox-child.ts";
import { feed } from "../support/inbox-feed.ts";
import { endLease, newWorker } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const QUICK = { name: "orders", gap: 0, limit: 10, idle: "20ms" } as const;
/** However long the test has taken: `250ms`, `4.2s`, `1m 3s`. */
const LONG = String.raw`(?:\d+m )?[\d.]+m?s`;
const SINCE = String.raw`since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(${LONG}\)`;
const LEFT = String.raw`\d+m \d+s`;
const AT = String.raw`at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(${LONG} ago\)`;

/** `@since`, `@at` and `@left` stand for times. */
function said(line: string): RegExp {
  const quoted = line.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(
    `^${quoted.replaceAll("@since", SINCE).replaceAll("@at", AT).replaceAll("@left", LEFT)}$`,
  );
}

/** As the command line says it. */
async function whyOf(app: InboxApp): Promise<string> {
  const shown = await here(app.url, "why", "source:orders");
  return shown.replace(/^source orders \(\w+\): /, "");
}

/** The line once it is so, or the test's end. */
function becomesLine(app: InboxApp, line: string): Promise<string> {
  return until(`why says ${line}`, async () => {
    const { line: now } = await app.pawl.sources.why("orders");
    return said(line).test(now) && now;
  });
}

/** Every command that the line names is one that works there. */
async function tryCommands(app: InboxApp, line: string, between: () => Promise<unknown>) {
  const named = Array.from(line.matchAll(/`pawl ([^`]+)`/g), ([, words = ""]) => words);
  for (const [i, words] of named.entries()) {
    await between();
    const args = words
      .replace("<cursor>", String(1_000 + i))
      .replace("…", "tried")
      .split(" ");
    await here(app.url, ...args);
  }
  return named.map((words) => words.split(" ")[1]);
}

function failing(error: Error, more: object = {}) {
  return defineSource({ ...QUICK, ...more, fetch: () => Promise.reject(error) });
}

test("R111a R38: a source held by an answer says since when, what came, and the commands that decide; each of them works", async () => {
  const app = await inboxApp([failing(new SourceAnswered("500 Internal\nServer \x1b[31mError"))]);
  const isHeld = () => app.becomes("orders", { status: "held" });
  await isHeld();
  const line = await whyOf(app);
  expect(line).toMatch(
    said(
      "held @since: it answered with an error: 500 Internal Server [31mError; decide with `pawl sources retry orders` (asks again), `pawl sources release orders` or `pawl sources skip orders --to <cursor> --why …`",
    ),
  );
  expect(await tryCommands(app, line, isHeld)).toEqual(["retry", "release", "skip"]);
  await isHeld();
  const { since } = await app.pawl.sources.why("orders");
  expect(since).toEqual((await app.source("orders")).heldAt);
});

test("R111a R38: a fault after which nobody knows the outcome, and one where nothing was sent, are told apart", async () => {
  const unknown = await inboxApp([failing(new Error("socket hang up"))]);
  await becomesLine(
    unknown,
    "held @since: its outcome is unknown: socket hang up; decide with `pawl sources retry orders` (asks again), `pawl sources release orders` or `pawl sources skip orders --to <cursor> --why …`",
  );
  const gone = new SourceUnavailable("connection refused", { sent: "no" });
  const retry = { attempts: 3, delay: 1, factor: 1 };
  const unsent = await inboxApp([failing(gone, { retry })]);
  await becomesLine(
    unsent,
    "held @since after 3 tries: nothing was sent: connection refused; decide with `pawl sources retry orders` (asks again), `pawl sources release orders` or `pawl sources skip orders --to <cursor> --why …`",
  );
});

test("R111a R44: where the page is kept retry parses it, and where the page names a cursor skip needs none", async () => {
  const pages = defineSource({
    ...QUICK,
    request: async () => ({ bytes: Buffer.from("[]") }),
    parse: () => ({ events: [...events(1, 2), ...events(4, 4), ...events(3, 3), ...events(5, 5)] }),
  });
  const app = await inboxApp([pages]);
  const isHeld = () => app.becomes("orders", { status: "held" });
  await isHeld();
  const line = await whyOf(app);
  expect(line).toContain(
    "`pawl sources retry orders` (parses the stored page; with --fetch makes the request again)",
  );
  expect(line).toContain('`pawl sources skip orders --why …` (goes on after "5")');
  expect(await tryCommands(app, line, isHeld)).toEqual(["retry", "release", "skip"]);
});

test("R111a R38: a source that delivers by itself and is held says so, with the commands that it has", async () => {
  const stream = defineSource({
    name: "orders",
    open: async (_, { deliver }) => deliver({ events: [...events(5, 5), ...events(3, 3)] }),
  });
  const app = await inboxApp([stream]);
  const isHeld = () => app.becomes("orders", { status: "held" });
  await isHeld();
  const line = await whyOf(app);
  expect(line).toContain(
    "decide with `pawl sources retry orders` (opens it again) or `pawl sources skip orders --to <cursor> --why …`",
  );
  expect(await tryCommands(app, line, isHeld)).toEqual(["retry", "skip"]);
});

test("R111a R38: a paused source says by whom and why; off and held are said beside it", async () => {
  const app = await inboxApp([failing(new SourceAnswered("500"))]);
  await app.becomes("orders", { status: "held" });
  await app.pawl.sources.pause("orders", { by: "ada", why: "their maintenance" });
  await app.pawl.off("all", { by: "bob", why: "upgrade", until: new Date("2100-01-31T12:00:00Z") });
  const line = await whyOf(app);
  expect(line).toMatch(/^held since .* --why …`; paused since/);
  const paused =
    "paused @since by ada (their maintenance); `pawl sources resume orders` lets it go on";
  const off =
    "everything is off @since by bob (upgrade) until 2100-01-31T12:00:00Z; `pawl on all` lets it go on";
  await here(app.url, "sources", "retry", "orders");
  await becomesLine(app, `${paused}; ${off}`);
  await here(app.url, "sources", "resume", "orders");
  const { since, status } = await app.pawl.sources.why("orders");
  expect(status).toBe("off");
  expect(since).toBeInstanceOf(Date);
  await becomesLine(app, off);
  await here(app.url, "on", "all");
  await app.becomes("orders", { status: "held" });
});

test("R111a R38: a source that is tried again says after how many failures and when, and retry tries it now", async () => {
  const retry = { delay: "1h", factor: 1, jitter: 0 };
  const app = await inboxApp([
    failing(new SourceUnavailable("refused", { sent: "no" }), { retry }),
  ]);
  await app.becomes("orders", { status: "retrying", failures: 1 });
  const line = await whyOf(app);
  expect(line).toMatch(
    /^tried again in 5\dm \d+s after 1 failure, the last at \S+Z \([\dms. ]+ ago\): refused; `pawl sources retry orders` tries it now$/,
  );
  const [first] = await app.pawl.sources.windows();
  expect(await tryCommands(app, line, async () => undefined)).toEqual(["retry"]);
  await until("it was tried", async () => {
    const [window] = await app.pawl.sources.windows();
    return window?.attempt === 2 && window.id === first?.id;
  });
});

test("R111a R51: a full inbox says how much lies there, and that nobody stores it", async () => {
  const source = defineSource({ ...QUICK, fetch: upTo(1_000), highWater: 20, lowWater: 5 });
  const app = await inboxApp([source], { work: { roles: ["loader"] } });
  await becomesLine(
    app,
    'waits for room: 20 events are in the inbox, it goes on automatically below 5; 20 events wait to be stored, the first @since: no live worker stores them; start `pawl work` with the app "pawl" (role mover)',
  );
  await app.pawl.work({ roles: ["mover"] });
  await app.becomes("orders", { storedCount: 1_000 });
});

test("R111a R51: a source that is being loaded says behind what, by whom and since when", async () => {
  let fail: ((error: Error) => void) | undefined;
  const source = defineSource({
    ...QUICK,
    timeout: "10m",
    fetch: () =>
      new Promise((_resolve, reject) => {
        fail = reject;
      }),
  });
  const app = await inboxApp([source]);
  onTestFinished(() => fail?.(new Error("the test is over"))); // the app would wait for it
  await becomesLine(app, `loaded after cursor "0" by pawl@${os.hostname()} ${process.pid} @since`);
});

/** As many live workers as there are lists of roles. */
async function workedBy(...workers: NonNullable<WorkOptions["roles"]>[]) {
  const source = defineSource({ ...QUICK, fetch: upTo(5), idle: "1h" });
  const app = await inboxApp([source], { name: "shop", work: false });
  const running = await Promise.all(workers.map((roles) => app.pawl.work({ roles })));
  return { app, running };
}

test("R111a R51: a source that no live worker loads says so, and which app and role it wants; one that only runs tasks does not count", async () => {
  const nobody = 'no live worker loads it; start `pawl work` with the app "shop" (role loader)';
  const { app } = await workedBy(["worker", "mover"]);
  expect(await whyOf(app)).toBe(`${nobody}; never asked`);
  const listed = await here(app.url, "sources");
  expect(listed).toContain(nobody);
  const loading = await app.pawl.work({ roles: ["loader"] });
  await becomesLine(app, 'asked last @at, next in @left after cursor "5"');
  expect(await here(app.url, "sources")).not.toContain("asked last");
  await loading.stop();
  await becomesLine(app, `${nobody}; asked last @at after cursor "5"`);
});

test("R111a: a worker that was asked to stop, or whose lease ran out, counts for nothing any more", async () => {
  const { app } = await workedBy(["loader"]);
  const { store } = app.pawl;
  // without a process, which would register anew at its next heartbeat
  const lost = await newWorker(store);
  await store.rows("update pawl.worker set serves = '{source:orders}' where id = $1", [lost]);
  await app.becomes("orders", { loaders: 2, received: 5, status: "waiting" });
  await endLease(store, lost);
  expect((await app.source("orders")).loaders).toBe(1);
  await app.pawl.stopWorkers();
  expect(await whyOf(app)).toMatch(/^no live worker loads it; start `pawl work`/);
});

test("R111a R43: a request that was sent by a loader that is gone is told from one that is not due", async () => {
  const server = await feed(100);
  onTestFinished(() => server.close());
  const killed = { PAWL_TEST_FEED: server.url, PAWL_TEST_KILL: "sent:1" };
  const loaders = await fleet({ app: childApp, child: "inbox-child.ts", setUp: SET_UP });
  onTestFinished(() => loaders.stop());
  await loaders.start(1, killed);
  await until("one was cut off, and its lease is over", async () => {
    for (const { name } of SOURCES) {
      const { line } = await loaders.pawl.sources.why(name);
      if (
        /its request after cursor "0" was sent at \S+ \(.* ago\) by a loader that is gone/.test(
          line,
        )
      )
        return true;
    }
    return false;
  });
});

test("R111a R46: storing that fails as such says since when, how often, and that it goes on by itself", async () => {
  let isDown = true;
  const store = async () => {
    if (isDown) throw new Error('relation "orders" does not exist');
  };
  const app = await inboxApp([defineSource({ ...QUICK, fetch: upTo(10), store })]);
  const line = await until("storing fails", async () => {
    const { line: now } = await app.pawl.sources.why("orders");
    return now.includes("as such") && now;
  });
  expect(line).toMatch(
    /; 10 events wait to be stored, the first since .* \(.*\): storing fails as such, whatever the event, after \d+ (try|tries), next (now|in [\dms. ]+): .*relation "orders" does not exist; it goes on by itself once that is fixed$/,
  );
  expect(await here(app.url, "sources")).toContain("storing fails as such");
  isDown = false;
  await app.becomes("orders", { storedCount: 10, backlog: 0 });
  expect(await whyOf(app)).not.toContain("stor");
});

test("R111a R46 R51: an event that waits for another try says so, then that it was set aside; the commands work", async () => {
  let isFixed = false;
  const source = defineSource({
    ...QUICK,
    fetch: upTo(4),
    order: "source",
    storeRetry: { attempts: 2, delay: "1h", factor: 1, jitter: 0 },
    store: async (batch) => {
      if (!isFixed && batch.some(({ id }) => id === "2")) throw new Error("2 is poison");
    },
  });
  const app = await inboxApp([source]);
  await until("it waits for its second try", async () =>
    /3 events wait to be stored, the first since \S+ \(.*\), again in 5\dm \d+s after 1 try: 2 is poison/.test(
      (await app.pawl.sources.why("orders")).line,
    ),
  );
  await app.pawl.store.rows("update pawl.inbox set next_at = pawl.now() where attempts = 1");
  await app.becomes("orders", { setAside: 1, backlog: 0 });
  const line = await whyOf(app);
  expect(line).toMatch(
    /; 1 set aside at \S+Z \([\dms. ]+ ago\) \(2 is poison\), see `pawl inbox list --source orders`, then `pawl inbox retry --all --source orders` or remove$/,
  );
  isFixed = true;
  await tryCommands(app, line, async () => undefined);
  await app.becomes("orders", { setAside: 0, storedCount: 4 });
});

test("R111a: why of a source as JSON has status and since; a name that is not there gets the nearest, and exit code 3", async () => {
  const { app } = await workedBy();
  expect(await hereJson(app.url, "why", "source:orders")).toEqual({
    source: "orders",
    status: "waiting",
    since: null,
    line: 'no live worker loads it; start `pawl work` with the app "shop" (role loader); never asked',
  });
  await expect(here(app.url, "why", "source:ordes")).rejects.toMatchObject({
    code: "source_not_found",
    exitCode: 3,
    message: 'no source "ordes"; did you mean "orders"?',
  });
  await expect(here(app.url, "why", "source:")).rejects.toThrow(/no source ""; known: orders/);
  await expect(here(app.url, "why", "orders")).rejects.toThrow(
    /source:<name>, command:<key> or schedule:<name>, got "orders"/,
  );
});
