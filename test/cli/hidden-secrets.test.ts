import { beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { jsonLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineDestinationType,
  defineJob,
  httpSource,
  nullDestination,
  on,
  type Pawl,
  webhook,
} from "../../src/index.ts";
import { receiver, SECRET, withMasterKey } from "../outbox/operators-support.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { here } from "./here.ts";

withMasterKey();

const TOKEN = "hunter2";
const SIGNATURE = "c2lnbmF0dXJlLW9mLWEtdG9rZW4";
const JWT = `eyJhbGciOiJIUzUxMiJ9.eyJpc3MiOiJwYngifQ.${SIGNATURE}`;
const ONCE = { attempts: 1 };

interface Project {
  url: string;
  pawl: Pawl;
  hook: string;
  /** Ids by what they are of. */
  ids: { sent: string; unsent: string; job: string; event: string; delivery: string };
  log: string[];
}

/** Of the app's own: it throws what it knows. */
const leaky = defineDestinationType({
  type: "leaky",
  label: "Shows all",
  fields: { target: { kind: "text", label: "Target" } },
  define: (config) => ({
    type: "leaky",
    config,
    timeoutMs: 60_000,
    retry: ONCE,
    deliver: () => {
      throw Object.assign(new Error(`POST ${String(config.target)} with ${JWT}`), { data: config });
    },
  }),
});

let project: Project;

beforeAll(async () => {
  vi.stubEnv("PAWL_SECRET_KEY", Buffer.alloc(32, 5).toString("base64"));
  const { url } = await freshDatabase({ longLeases: true });
  const { url: at } = await receiver(500);
  const hook = `${at}/services/T0/${TOKEN}?token=${TOKEN}`;
  const tell = defineJob({
    name: "tell",
    input: z.unknown(),
    retry: ONCE,
    run: () => Promise.reject(new Error(`GET ${hook}#${TOKEN} with ${JWT}`)),
  });
  const feed = httpSource({ name: "feed", url: hook, page: "id" });
  const log: string[] = [];
  const app = defineApp({
    name: "shop",
    http: { allow: ["127.0.0.1"] },
    jobs: [tell],
    destinationTypes: [leaky],
    destinations: {
      slack: webhook({ url: hook, secret: SECRET, retry: ONCE }),
      own: leaky.define({ target: hook }),
      audit: nullDestination(),
    },
    sources: [feed],
    routes: [on("order.*").to("slack"), on("order.*").to("own")],
  });
  const pawl = await connect(app, {
    databaseUrl: url,
    log: jsonLogger("debug", (line) => log.push(line)),
  });
  const act = { by: "ada", why: `see ${hook}` };
  const config = {
    url: hook,
    secret: SECRET,
    headers: { "x-to": hook },
    breaker: { failures: 1 },
    retry: ONCE,
  };
  await pawl.destinations.add({ name: "erp", type: "webhook", config }, act);
  await pawl.destinations.edit("erp", { timeout: "1m" }, act);
  await pawl.routes.add({ pattern: "order.*", to: "erp" }, act);
  const request = { method: "POST", body: JWT, ...ONCE } as const;
  const { id: sent } = await pawl.request({ ...request, url: hook });
  const { id: unsent } = await pawl.request({
    ...request,
    url: `http://127.0.0.1:1/services/${TOKEN}/${TOKEN}`,
  });
  const { id: later } = await pawl.request({
    ...request,
    url: hook,
    runAt: new Date(Date.now() + 3_600_000),
  });
  const payload = {
    hook,
    escaped: JSON.stringify({ hook }).replaceAll("/", "\\/"),
    headers: { authorization: TOKEN },
    token: JWT,
    exact: 12,
  };
  const { id: job } = await pawl.enqueue(tell, payload);
  const { id: event } = await pawl.record("order.placed", { aggregate: ["order", 1], payload });
  const worker = await pawl.work({ roles: ["worker"] });
  const rows = (text: string) => pawl.store.rows<{ id: string }>(text);
  await until(
    "all of it has failed",
    async () => (await rows("select id from pawl.dead")).length === 6,
  );
  await worker.stop();
  await pawl.cancel(later, act);
  const [delivery] = await rows(
    "select d.id from pawl.dead d join pawl.stream s on s.id = d.stream_id join pawl.queue q on q.id = s.queue_id where q.name = 'destination:slack'",
  );
  project = {
    url,
    pawl,
    hook,
    ids: { sent, unsent, job, event, delivery: delivery?.id ?? "" },
    log,
  };
  return () => pawl.close();
});

function refuseSecrets(text: string): void {
  expect(text).not.toContain(TOKEN);
  expect(text).not.toContain(SIGNATURE);
}

describe.each([[[]], [["--json"]]])(
  "R94: no secret of a URL and no token is shown by %j",
  (flags) => {
    test.each([
      ["destinations list", undefined],
      ["destinations show slack", "/services/…?…"],
      ["destinations show own", "/services/…?…"],
      ["destinations show erp", "/services/…?…"],
      ["audit", "/services/…"],
      ["dead list", "/services/…"],
      ["dead list --groups", undefined],
      ["dead show <job>", "/services/…"],
      ["dead show <sent>", "/services/…"],
      ["dead show <delivery>", "/services/…"],
      ["tasks list --state dead", "/services/…"],
      ["tasks list --state cancelled", undefined],
      ["tasks show <job>", "/services/…"],
      ["tasks show <sent>", "/services/…"],
      ["tasks show <unsent>", "/services/…"],
      ["requests list", "/services/…"],
      ["requests show <sent>", "/services/…"],
      ["requests show <unsent>", "/services/…"],
      ["deliveries list", "/services/…"],
      ["deliveries show <delivery>", "/services/…"],
      ["events list", undefined],
      ["events show <event>", "/services/…"],
      ["why <job>", "/services/…"],
      ["why <delivery>", "/services/…"],
      ["why <event>", undefined],
      ["queues list", undefined],
      ["routes list", undefined],
      ["stats", undefined],
    ])("pawl %s", async (line, shown) => {
      const args = line
        .split(" ")
        .map((word) => project.ids[word.slice(1, -1) as keyof Project["ids"]] ?? word);
      const out = await here(project.url, ...args, ...flags);
      refuseSecrets(out);
      if (shown !== undefined) expect(out).toContain(shown);
    });
  },
);

test("R94: an error that names a URL shows no secret, neither on stderr nor as JSON", async () => {
  const error = await here(project.url, "tasks", "list", "--kind", project.hook).catch(
    (thrown: unknown) => thrown,
  );
  const { printError } = await import("../../src/cli/output.ts");
  for (const json of [true, false]) {
    let out = "";
    const streams = [process.stdout, process.stderr].map((stream) => {
      const write = stream.write.bind(stream);
      stream.write = (text: string | Uint8Array) => {
        out += String(text);
        return true;
      };
      return () => {
        stream.write = write;
      };
    });
    printError(error, { json, verbose: 1 });
    for (const restore of streams) restore();
    expect(out).toContain("/services/…?…");
    refuseSecrets(out);
  }
});

test("R94: the catalogue of what code defines holds no secret of a URL, whatever a type of the app shows", async () => {
  const rows = await project.pawl.store.rows(
    "select config from pawl.destination where application is not null union all select config from pawl.source",
  );
  expect(JSON.stringify(rows)).toContain("/services/…");
  refuseSecrets(JSON.stringify(rows));
  refuseSecrets(await here(project.url, "sources", "show", "feed"));
  refuseSecrets(await here(project.url, "sources", "show", "feed", "--json"));
});

test("R94: what is stored of errors, and the worker's log, hold no secret of a URL and no token", async () => {
  const { pawl, log } = project;
  const stored = await pawl.store.rows(
    "select (select jsonb_agg(error) from pawl.dead) as dead, (select jsonb_agg(error) from pawl.attempt) as attempts, (select jsonb_agg(to_jsonb(b)) from pawl.breaker b) as breakers",
  );
  refuseSecrets(JSON.stringify(stored));
  refuseSecrets(log.join(""));
  expect(log.join("")).toContain("/services/…");
});

test("R94: what an app's code gets of destinations is masked, and its own task and event are true", async () => {
  const { pawl, ids, hook } = project;
  refuseSecrets(JSON.stringify(await pawl.destinations.list()));
  refuseSecrets(JSON.stringify(await pawl.destinations.test("slack")));
  refuseSecrets(JSON.stringify(await pawl.destinations.test("own")));
  expect((await pawl.task(ids.job))?.payload).toMatchObject({ hook });
  expect((await pawl.event(ids.event))?.payload).toMatchObject({ hook });
});
