import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, defineSource, flow, on } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { newFolder, PAWL, pawl } from "./cli.ts";
import { here } from "./here.ts";

/** Roles belong to the whole server: the schema has a name of its own, and theirs begin with it. */
const schema = `cli_${randomBytes(4).toString("hex")}`;
const ALL = ["producer", "worker", "operator", "reader"].map((role) => `${schema}_${role}`);
const { url } = await freshDatabase({ migrated: false });
const folder = newFolder();
const config = path.join(folder, "pawl.config.ts");
writeFileSync(
  config,
  `import { defineApp, flow, on } from ${JSON.stringify(PAWL)};
   export default defineApp({ schema: "${schema}", destinations: { stock: flow(() => undefined) }, routes: [on("order.*").to("stock")] });\n`,
);
const options = { url, cwd: folder };
const admin = await rawClient(url);
const logins = ["plain", "as_operator", "as_reader"].map((name) => `${schema}_${name}`);
atEnd(async () => {
  const last = await rawClient(url);
  const { rows } = await last.query<{ name: string }>(
    "select rolname as name from pg_roles where rolname like $1",
    [`${schema}\\_%`],
  );
  const names = rows.map(({ name }) => name).join(", ");
  if (names !== "") await last.query(`drop owned by ${names} cascade; drop role ${names}`);
});
afterAll(() => {
  delete process.env.PAWL_CONFIG;
});

/** Another login of the same server. */
function urlAs(name: string): string {
  return url.replace(/\/\/[^@/]*@/, `//${name}@`);
}

async function refusal(work: Promise<unknown>): Promise<{ code: string; message: string } | null> {
  return work.then(
    () => null,
    (error: unknown) => error as { code: string; message: string },
  );
}

test("R115: migrate --roles by somebody who may make none says so, changes nothing, and prints what a DBA needs", async () => {
  const owner = `${schema}_plain`;
  await admin.query(`create role ${owner} login;
    grant all on database "${admin.database}" to ${owner}`);
  const denied = await pawl(["migrate", "--roles"], { ...options, url: urlAs(owner) });
  expect(denied).toMatchObject({ code: 4, stdout: "" });
  expect(denied.stderr).toMatch(/CREATEROLE/);
  expect(denied.stderr).toContain("pawl migrate --roles --plan");
  const { rows } = await admin.query("select from pg_roles where rolname = any ($1)", [ALL]);
  expect(rows).toEqual([]);
  const schemas = await admin.query("select from pg_namespace where nspname = $1", [schema]);
  expect(schemas.rows).toEqual([]);
  const planned = await pawl(["migrate", "--roles", "--plan"], { ...options, url: urlAs(owner) });
  expect(planned).toMatchObject({ code: 0 });
  for (const role of ALL) expect(planned.stdout).toContain(`create role ${role} nologin;`);
});

test("R115: migrate --roles makes the roles once, keeps what is there, and renews the grants", async () => {
  await admin.query(`create role ${schema}_reader nologin`);
  const first = await pawl(["migrate", "--roles"], options);
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(first.stdout).toContain(
    `roles: ${schema}_producer, ${schema}_worker, ${schema}_operator\n`,
  );
  await admin.query(`revoke all on all routines in schema ${schema} from ${schema}_reader`);
  const again = await pawl(["migrate", "--roles"], options);
  expect(again.stdout).toContain("roles: there already, grants renewed");
  const { rows } = await admin.query(
    `select pg_catalog.has_function_privilege('${schema}_reader', p.oid, 'execute') as may
       from pg_proc p where p.pronamespace = '${schema}'::regnamespace and p.proname = 'stats_v1'`,
  );
  expect(rows).toEqual([{ may: true }]);
});

const UUID = "01999999-9999-7999-8999-999999999999";
/** What each shows or does, and who is not refused: o an operator, r a reader, w only a worker. That there is no such thing comes before the refusal. */
const COMMANDS: readonly (readonly [string, string])[] = [
  ["stats", "or"],
  ["why 1", "or"],
  ["why source:feed", "or"],
  ["off", "or"],
  ["off all --why x", "o"],
  ["on all", "o"],
  ["queues list", "or"],
  ["queues pause normal --why x", "o"],
  ["queues resume normal", "o"],
  ["tasks list", "or"],
  ["tasks show 1", "o"],
  ["tasks kinds", "or"],
  ["tasks cancel 1", "o"],
  ["tasks retry 1", "o"],
  ["tasks reschedule 1 --priority 2", "o"],
  ["dead list", "or"],
  ["dead show 1", "o"],
  ["dead retry 1", "o"],
  ["dead remove 1", "o"],
  ["events list", "o"],
  [`events show ${UUID}`, "o"],
  [`events route ${UUID}`, "o"],
  ["events record order.placed --aggregate order:1", "w"],
  ["deliveries list", "or"],
  ["deliveries show 1", "o"],
  ["deliveries replays list", "or"],
  ["deliveries replays stop 1", "o"],
  ["deliveries dispatch", "w"],
  ["deliveries rescue", "w"],
  ["destinations list", "o"],
  ["destinations show stock", "o"],
  ["destinations test stock", "o"],
  ["destinations pause stock --why x", "o"],
  ["destinations resume stock", "o"],
  ["routes list", "or"],
  ["routes off 1", "o"],
  ["routes on 1", "o"],
  ["requests list", "or"],
  ["requests show 1", "o"],
  ["requests stop 1", "or"],
  ["requests retry 1", "or"],
  ["requests run 1", "o"],
  ["processes list", "or"],
  ["processes show 1", "or"],
  ["processes hold 1 --why x", "o"],
  ["processes release 1 --why x", "o"],
  ["processes restart-all --why x", "or"],
  ["processes skip-all --at one --why x", "or"],
  ["processes hold-all --why x", "or"],
  ["processes release-all --why x", "or"],
  ["processes abandon-all --yes --why x", "or"],
  ["processes work 1", "or"],
  ["commands list", "or"],
  ["commands runs", "or"],
  ["locks list", "or"],
  ["locks release nothing --why x", "o"],
  ["keys list", "o"],
  ["keys remove nothing", "o"],
  ["sources list", "or"],
  ["sources windows", "or"],
  ["sources pause feed --why x", "o"],
  ["inbox list", "o"],
  ["inbox show 1", "o"],
  ["inbox retry 1", "o"],
  ["inbox remove 1", "or"],
  ["apps list", "or"],
  ["apps remove gone", "or"],
  ["audit", "or"],
  ["prune --dry-run", "o"],
  ["stop-workers", "o"],
];

test("R115: each command works for an operator and a reader, or is refused naming the role that it needs", async () => {
  const [, operator = "", reader = ""] = logins;
  await admin.query(`create role ${operator} login in role ${schema}_operator;
    create role ${reader} login in role ${schema}_reader`);
  process.env.PAWL_CONFIG = config;
  const job = defineJob({ name: "plain", input: z.object({}), run: () => undefined });
  const source = defineSource({
    name: "feed",
    fetch: async () => ({ events: [] }),
    store: async () => undefined,
  });
  const app = defineApp({
    schema,
    jobs: [job],
    destinations: { stock: flow(() => undefined) },
    routes: [on("order.*").to("stock")],
    sources: [source],
  });
  await (await connect(app, { databaseUrl: url, log: silentLogger })).close();
  const seen: [string, string][] = [];
  const unclear: string[] = [];
  for (const [line] of COMMANDS) {
    let may = "";
    for (const [who, login] of [
      ["o", operator],
      ["r", reader],
    ] as const) {
      const error = await refusal(here(urlAs(login), ...line.split(" ")));
      if (error?.code !== "database_permission") may += who;
      else if (!error.message.includes(`needs the role ${schema}_`))
        unclear.push(`${who} ${line}: ${error.message}`);
    }
    seen.push([line, may === "" ? "w" : may]);
  }
  expect(unclear).toEqual([]);
  expect(seen).toEqual(COMMANDS);
});
