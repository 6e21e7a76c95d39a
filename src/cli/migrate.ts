/** `pawl migrate`: makes or upgrades the schema; `--plan` prints the SQL of what is pending and changes nothing. */

import type { Command } from "commander";
import { startEmbedded } from "../store/embedded/index.ts";
import { foundation, type Migration, migrate, planMigrations } from "../store/migrate.ts";
import { openStore, type Store } from "../store/store.ts";
import { type Call, command, does, SCHEMA_DEFAULT } from "./command.ts";
import type { Answer } from "./output.ts";

export function migrateCommand(): Command {
  const made = command("migrate", "Make or upgrade the schema in the database", [
    ["pawl migrate", "safe to run from many places at once"],
    ["pawl migrate --plan > pending.sql", "for review: the SQL, in the app's schema"],
  ]).option("--plan", "print the SQL of pending migrations, change nothing");
  return does<{ plan?: boolean }>(made, (call, options) =>
    withAnyStore(call, (store) => (options.plan === true ? plan(store) : apply(store))),
  );
}

async function plan(store: Store): Promise<Answer> {
  const { applied, pending, newer } = await planMigrations(store);
  const scripts = pending.map((one) => ({ ...named(one), sql: store.render(one.sql) }));
  const [first] = scripts;
  if (applied.length === 0 && first !== undefined)
    first.sql = `${foundation(store)}\n\n${first.sql}`;
  const text = scripts.map((one) => `-- ${one.name}\n${one.sql.trimEnd()}`).join("\n\n");
  const upToDate = `-- schema "${store.schema}": nothing is pending`;
  return {
    json: { schema: store.schema, pending: scripts, newer },
    text: text === "" ? upToDate : text,
  };
}

async function apply(store: Store): Promise<Answer> {
  const applied = (await migrate(store)).map(named);
  const text = [
    ...applied.map((one) => `applied ${one.name}`),
    `schema "${store.schema}": up to date`,
  ].join("\n");
  return { json: { schema: store.schema, applied }, text };
}

function named({ number, name }: Migration): { number: number; name: string } {
  return { number, name: `${String(number).padStart(4, "0")}_${name}` };
}

/** Also one that is not migrated yet. */
async function withAnyStore<T>(call: Call, work: (store: Store) => Promise<T>): Promise<T> {
  const schema = (await call.app())?.schema ?? SCHEMA_DEFAULT;
  const given = process.env.DATABASE_URL || undefined;
  const server = given === undefined ? await startEmbedded({ log: call.log }) : undefined;
  let store: Store | undefined;
  try {
    store = openStore({ url: given ?? server?.url ?? "", schema, max: 2, log: call.log });
    return await work(store);
  } finally {
    await store?.close();
    await server?.release();
  }
}
