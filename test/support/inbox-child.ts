/**
 * A process that loads five sources from the feed of its test and stores what they give. `PAWL_TEST_KILL`, such as
 * `sent:3` or `sent:3:pulled`, kills it at the third time that it comes to that point of a window, of any source or
 * of the one named. `PAWL_TEST_SIGNAL=SIGSTOP` freezes it there instead. `PAWL_TEST_LEASE_MS`: the lease of its sources.
 */

import { hostname } from "node:os";
import { silentLogger } from "../../src/base/log.ts";
import { loader } from "../../src/inbox/loader.ts";
import type { Point } from "../../src/inbox/window.ts";
import {
  type App,
  connect,
  defineApp,
  defineSource,
  type SourceDefinition,
  type SourceEvent,
} from "../../src/index.ts";
import { openSender } from "../../src/sender/sender.ts";

export const POINTS: readonly Point[] = ["reserved", "sent", "answered", "kept", "stored"];
export const WINDOW_LIMIT = 20;
/** The feed, in the process of its test, may stand still: what it answers late is not unknown. */
const PATIENCE_MS = 300_000;

const SHARED = {
  limit: WINDOW_LIMIT,
  gap: 10,
  idle: "100ms",
  timeout: PATIENCE_MS,
  lease: Number(process.env.PAWL_TEST_LEASE_MS ?? 1_000),
};
const feedUrl = process.env.PAWL_TEST_FEED ?? "";

/** Kept as received, then parsed. */
function pulled(name: string, more: object = {}): SourceDefinition {
  return defineSource({
    ...SHARED,
    ...more,
    name,
    request: async ({ after, limit }, { http, signal }) => {
      const { body } = await http.send({ ...requestOf(name, after, limit), signal });
      return { bytes: Buffer.from(body) };
    },
    parse: ({ bytes }) => ({ events: JSON.parse(Buffer.from(bytes).toString()) as SourceEvent[] }),
  });
}

/** Answers events at once. */
function fetched(name: string, more: object = {}): SourceDefinition {
  return defineSource({
    ...SHARED,
    ...more,
    name,
    fetch: async (after, limit, { http, signal }) => {
      const { body } = await http.send({ ...requestOf(name, after, limit), signal });
      return JSON.parse(body) as SourceEvent[];
    },
  });
}

function requestOf(name: string, after: string, limit: number) {
  const url = `${feedUrl}/${name}?after=${after}&limit=${limit}`;
  return { url, method: "GET", headers: {}, body: "", timeoutMs: PATIENCE_MS };
}

export const SOURCES: readonly SourceDefinition[] = [
  pulled("pulled"),
  pulled("pulled-again", { onFault: { unknown: "retry" }, retry: { delay: 50, factor: 1 } }),
  fetched("fetched"),
  fetched("fetched-again", { onFault: { unknown: "retry" }, retry: { delay: 50, factor: 1 } }),
  pulled("handled", {
    store: async (
      events: readonly { id: string }[],
      { tx }: { tx: { query(text: string, values: unknown[]): Promise<unknown> } },
    ) => {
      await tx.query("insert into handled (id) select unnest($1::text[])", [
        events.map((event) => event.id),
      ]);
      reached("store", "handled");
    },
  }),
];

export const inboxApp: App = defineApp({ sources: SOURCES, http: { allow: ["127.0.0.1"] } });

/** The handler's effect, where a second row of an id is what must not be; and when each page with events was kept. */
export const SET_UP: readonly string[] = [
  "create table handled (id text not null)",
  "create table kept (source text, after text, at timestamptz)",
  `create function note_kept() returns trigger language plpgsql set search_path from current as $$ begin
     insert into kept select s.name, w.after_cursor, clock_timestamp()
       from pawl.source_window w join pawl.source s on s.id = w.source_id
      where w.id = new.window_id and new.bytes <> '[]';
     return null;
   end $$`,
  "create trigger note_kept after insert on pawl.source_page for each row execute function note_kept()",
];

const [killAt, killTimes, killSource] = (process.env.PAWL_TEST_KILL ?? "").split(":");
let times = 0;

/** `store`: in the middle of a batch. */
function reached(point: Point | "store", source: string): void {
  if (point !== killAt || (killSource !== undefined && source !== killSource)) return;
  times += 1;
  if (times === Number(killTimes))
    process.kill(process.pid, process.env.PAWL_TEST_SIGNAL ?? "SIGKILL");
}

async function asLoader(): Promise<void> {
  const databaseUrl = process.env.PAWL_TEST_WORKER_URL;
  if (databaseUrl === undefined) return;
  process.stdin.once("close", () => process.exit(1));
  process.stdin.resume();
  const pawl = await connect(inboxApp, { databaseUrl, log: silentLogger, connections: 2 });
  const loading = loader({
    executor: pawl.store,
    sources: SOURCES,
    http: openSender(inboxApp.http),
    log: silentLogger,
    payloadBytesMax: inboxApp.maxPayloadBytes,
    holder: `${hostname()} ${process.pid}`,
    isOffHere: () => false,
    at: reached,
  });
  // before it is registered: whoever sees it there may tell it to stop
  const told = new Promise<void>((resolve) => process.once("SIGTERM", () => resolve()));
  await pawl.work({ roles: ["mover"] });
  loading.start();
  told
    .then(() => loading.stop())
    .then(() => pawl.close())
    .then(
      () => process.exit(0), // its standard input keeps it alive
      () => process.exit(1),
    );
}

await asLoader();
