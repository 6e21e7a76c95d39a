/** `pawl migrate`: makes or upgrades the schema; `--plan` prints the SQL of what is pending and changes nothing. */

import type { Command } from "commander";
import { flag } from "../options/kinds.ts";
import { foundation, type Migration, migrate, planMigrations } from "../store/migrate.ts";
import { chooseServer } from "../store/open-database.ts";
import { makeRoles, refuseWhoMakesNoRoles, rolesSql } from "../store/roles.ts";
import { openStore, type Store } from "../store/store.ts";
import { type Call, command, placeOf, takes } from "./command.ts";
import type { Answer } from "./output.ts";

const MIGRATE = {
  plan: flag("print the SQL of pending migrations, change nothing"),
  roles: flag("also create the roles for producers, workers, operators and readers"),
};

export function migrateCommand(): Command {
  const made = command("migrate", "Make or upgrade the schema in the database", [
    ["pawl migrate", "safe to run from many places at once"],
    ["pawl migrate --plan > pending.sql", "for review: the SQL, in the app's schema"],
    ["pawl migrate --roles", "also make the roles that a DBA grants to logins"],
  ]);
  return takes(made, MIGRATE, (call, { plan: isPlan, roles }) =>
    withAnyStore(call, async (store) => {
      if (roles === true && isPlan !== true) await refuseWhoMakesNoRoles(store);
      const answer = await (isPlan === true ? plan(store) : apply(store));
      if (roles !== true) return answer;
      return withRoles(answer, isPlan === true ? rolesSql(store) : await rolesMade(store));
    }),
  );
}

async function plan(store: Store): Promise<Answer> {
  const { applied, pending, functions: changed, newer } = await planMigrations(store);
  const scripts = pending.map((one) => ({ ...named(one), sql: store.render(one.sql) }));
  const functions = changed.map(({ name, sql }) => ({ name, sql: store.render(sql) }));
  const [first] = scripts;
  if (applied.length === 0 && first !== undefined)
    first.sql = `${foundation(store)}\n\n${first.sql}`;
  const text = [...scripts, ...functions]
    .map((one) => `-- ${one.name}\n${one.sql.trimEnd()}`)
    .join("\n\n");
  const upToDate = `-- schema "${store.schema}": nothing is pending`;
  return {
    json: { schema: store.schema, pending: scripts, functions, newer },
    text: text === "" ? upToDate : text,
    isToUse: true,
  };
}

async function apply(store: Store): Promise<Answer> {
  const { migrations, functions: changed } = await migrate(store);
  const applied = migrations.map(named);
  const functions = changed.map((one) => one.name);
  const text = [
    ...applied.map((one) => `applied ${one.name}`),
    ...functions.map((name) => `applied functions of ${name}`),
    `schema "${store.schema}": up to date`,
  ].join("\n");
  return { json: { schema: store.schema, applied, functions }, text };
}

/** Adds what was made, or the SQL that makes it, to the answer of the migrations. */
function withRoles(answer: Answer, roles: { sql: string } | { made: string[] }): Answer {
  const { json, text } = answer;
  const line =
    "sql" in roles
      ? `-- roles\n${roles.sql}`
      : `roles: ${roles.made.length === 0 ? "there already, grants renewed" : roles.made.join(", ")}`;
  return { ...answer, json: { ...(json as object), roles }, text: `${text}\n${line}` };
}

async function rolesMade(store: Store): Promise<{ made: string[] }> {
  return { made: await makeRoles(store) };
}

function named({ number, name }: Migration): { number: number; name: string } {
  return { number, name: `${String(number).padStart(4, "0")}_${name}` };
}

/** Works on a database that is not migrated yet, too. */
async function withAnyStore<T>(call: Call, work: (store: Store) => Promise<T>): Promise<T> {
  const { schema, root } = await placeOf(call);
  const { url, server } = await chooseServer({ root, log: call.log });
  let store: Store | undefined;
  try {
    store = openStore({ url, schema, max: 2, log: call.log });
    return await work(store);
  } finally {
    await store?.close();
    await server?.release();
  }
}
