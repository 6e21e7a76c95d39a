/** `pawl processes migrate`: runs of a version that no code has to finish any more. */

import { dryRun } from "../../kernel/operator/fields.ts";
import { table } from "../../operate/table.ts";
import { type Verb, verb } from "../../operate/verb.ts";
import { required } from "../../options/field.ts";
import { integer, name } from "../../options/kinds.ts";
import { type MigrateDesk, migrate } from "../migrate/migrate.ts";
import type { MigratedRun, Migration, Processes } from "./processes.ts";

const LIMIT_MAX = 1_000_000;
const VERSION_MAX = 999_999_999;

export const migrateVerb: Verb<Processes["migrate"], MigrateDesk> = verb({
  help: "Move the runs of one version of a process to another one, as `migrate` of its definition says",
  examples: [
    ["pawl processes migrate order --from 1 --dry-run", "what would become of each run"],
    ['pawl processes migrate order --from 1 --why "version 1 is gone"', "to the newest version"],
  ],
  input: {
    process: required(name("the process")),
    from: required(integer({ help: "the version that the runs have", max: VERSION_MAX })),
    to: integer({ help: "the version that they get (default: the newest)", max: VERSION_MAX }),
    limit: integer({ help: "maximum number of runs (default: all)", max: LIMIT_MAX }),
    dryRun,
  },
  args: ["process"],
  changes: true,
  needsApp: true,
  run: migrate,
  text: ({ process, from, to, isDryRun, count, runs }: Migration) => {
    const left = runs.length - count;
    const what = `process ${process}, version ${from} to ${to}`;
    const done = isDryRun ? "would be migrated" : "migrated";
    const line = `${what}: ${count} ${done}${left === 0 ? "" : `, ${left} left as they are`}`;
    const shown = isDryRun ? runs : runs.filter((run) => run.outcome !== "migrated");
    return shown.length === 0 ? line : `${tableOf(shown)}\n${line}`;
  },
});

function tableOf(runs: readonly MigratedRun[]): string {
  return table(runs, [
    { head: "ID", value: (run) => run.id, align: "right" },
    { head: "STEP", value: (run) => run.step },
    { head: "OUTCOME", value: (run) => run.outcome },
    { head: "GOES ON AT", value: (run) => run.to },
    { head: "REASON", value: (run) => run.reason },
  ]);
}
