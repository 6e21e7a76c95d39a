/** The noun `apps`: the apps that share this database, and what each of them owns. */

import { PawlError, shown } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";
import type { Act } from "../operate/sql.ts";
import { type Column, iso, table } from "../operate/table.ts";
import { type ActOptions, type Desk, type Noun, type Verb, verb } from "../operate/verb.ts";
import { required } from "../options/field.ts";
import { name } from "../options/kinds.ts";
import { type AppRow, apps, removeApp } from "./sql.ts";

export interface RemovedApp {
  removed: string;
}

/** `pawl.apps`. */
export interface Apps {
  list(): Promise<AppRow[]>;
  /**
   * Removes an app: its routes end, and its names are free for other apps.
   * @throws PawlError `invalid_option` for an unknown app, or if workers of it live
   */
  remove(name: string, options?: ActOptions): Promise<RemovedApp>;
}

const COLUMNS: readonly Column<AppRow>[] = [
  { head: "APP", value: (row) => row.name },
  { head: "REVISION", value: (row) => row.revision, align: "right" },
  { head: "REGISTERED", value: (row) => iso(row.registeredAt) },
  { head: "WORKERS", value: (row) => row.workers, align: "right" },
  { head: "QUEUES", value: (row) => row.queues, align: "right" },
  { head: "JOBS", value: (row) => row.jobs, align: "right" },
];

/** One for each kind that a part has named in the database. */
function ownedColumns([first]: readonly AppRow[]): Column<AppRow>[] {
  const own = ["name", "revision", "registeredAt", "workers", "queues", "jobs"];
  const kinds = Object.keys(first ?? {}).filter((key) => !own.includes(key));
  return kinds.map((kind) => ({
    head: kind.toUpperCase(),
    value: (row) => Number(Object.entries(row).find(([key]) => key === kind)?.[1]),
    align: "right",
  }));
}

const list: Verb<Apps["list"], Desk> = verb({
  help: "List the apps with what their code defines",
  examples: [["pawl apps list", "whose are the queues, jobs, destinations and sources"]],
  input: {},
  isTolerant: true,
  run: ({ store }) => apps(store),
  json: (rows) => ({ apps: rows }),
  text: (rows: AppRow[]) => table(rows, [...COLUMNS, ...ownedColumns(rows)]),
});

const remove: Verb<Apps["remove"], Desk> = verb({
  help: "Remove an app that is gone or has a new name: its routes end, and other apps can use its names",
  examples: [
    ["pawl apps remove old-shop", "its queues, destinations and sources stay, with their tasks"],
  ],
  input: { name: required(name("of the app")) },
  args: ["name"],
  changes: true,
  run: async ({ store }, { name: app }, act: Act): Promise<RemovedApp> => {
    const known = (await apps(store)).map((row) => row.name);
    if (!known.includes(app)) {
      const near = didYouMean(app, known);
      throw new PawlError("invalid_option", `no app ${shown(app)}; ${near}`, { data: { app } });
    }
    await removeApp(store, { ...act, name: app });
    return { removed: app };
  },
  text: ({ removed }) => `app "${removed}" is removed`,
});

export const appsNoun: Noun<Apps, Desk> = {
  name: "apps",
  help: "List the apps that share this database; remove one that is gone",
  verbs: { list, remove },
};
