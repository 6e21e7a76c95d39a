/** Moves the runs of one version of a process to another one, in batches: each is moved whole, or left as it is and told. */

import { PawlError, shown } from "../../base/errors.ts";
import { didYouMean } from "../../base/suggest.ts";
import type { Calling, Desk } from "../../operate/verb.ts";
import type { AnyProcess } from "../define-process.ts";
import { allVersions } from "../definition.ts";
import { versions } from "../list/sql.ts";
import type { MigratedRun, Migration } from "../operator/processes.ts";
import { loadRuns } from "../sql.ts";
import { type Planned, type PlanOf, planRun } from "./plan.ts";
import { moveRuns, runsOfVersion, stepsOfVersion } from "./sql.ts";

const BATCH = 100;

export interface MigrateDesk extends Desk {
  /** Of the app's code. */
  processes: readonly AnyProcess[];
  maxPayloadBytes: number;
}

export interface MigrateInput {
  process: string;
  from: number;
  to?: number | undefined;
  limit?: number | undefined;
  dryRun?: boolean | undefined;
}

export async function migrate(
  desk: MigrateDesk,
  input: MigrateInput,
  act: Calling,
): Promise<Migration> {
  const { store, report } = desk;
  const { process, from, limit = Number.MAX_SAFE_INTEGER, dryRun: isDryRun = false } = input;
  const to = definitionOf(desk, input, act);
  const of = await planOf(desk, to, input, act);
  const runs: MigratedRun[] = [];
  for (let after = "0"; runs.length < limit; ) {
    const size = Math.min(BATCH, limit - runs.length);
    const found = await runsOfVersion(store, { process, version: from, after, limit: size });
    if (found.length === 0) break;
    after = found.at(-1)?.id ?? after;
    const ids = found.map((run) => run.id);
    const loaded = await loadRuns(store, ids);
    const planned = await Promise.all(
      found.map((run, i) =>
        planRun(of, run, loaded[i] ?? { steps: [], data: {}, signals: [], isToHold: false }),
      ),
    );
    const moves = planned.flatMap((one) => ("move" in one ? [one.move] : []));
    const outcomes =
      isDryRun || moves.length === 0
        ? undefined
        : await moveRuns(store, moves, { ...act, process, from, to: to.version });
    runs.push(...planned.map((one, i) => told(ids[i] ?? "", one, isDryRun ? null : outcomes)));
    report(`migrate: ${runs.length} runs`);
  }
  report("");
  const moved = runs.filter(({ outcome }) => outcome === "migrated" || outcome === "planned");
  return { process, from, to: to.version, isDryRun, count: moved.length, runs };
}

/** @param outcomes null: nothing is written */
function told(
  id: string,
  planned: Planned,
  outcomes: Awaited<ReturnType<typeof moveRuns>> | null | undefined,
): MigratedRun {
  const { step } = planned;
  if ("left" in planned)
    return { id, step, outcome: planned.left, to: null, reason: planned.reason };
  const { move } = planned;
  if (outcomes === null) return { id, step, outcome: "planned", to: move.step, reason: null };
  const outcome = outcomes?.get(id) ?? "moved";
  if (outcome === "migrated") return { id, step, outcome, to: move.step, reason: null };
  const reason = outcome === "running" ? "a step of it runs now" : "it has gone on meanwhile";
  return { id, step, outcome, to: null, reason };
}

/** @throws PawlError `invalid_option` for what the app does not define */
function definitionOf(
  { processes }: MigrateDesk,
  { process, from, to }: MigrateInput,
  { where, label }: Calling,
): AnyProcess {
  const all = allVersions(processes);
  const versionsOf = all.filter((one) => one.name === process);
  const [newest] = versionsOf;
  if (newest === undefined) {
    const names = [...new Set(all.map((one) => one.name))];
    throw refused(
      where,
      `the app defines no process ${shown(process)}; ${didYouMean(process, names)}`,
    );
  }
  const chosen = to === undefined ? newest : versionsOf.find((one) => one.version === to);
  if (chosen === undefined) {
    const known = versionsOf.map((one) => one.version).join(", ");
    throw refused(
      where,
      `${label("to")}: the app defines no version ${to} of process "${process}", only ${known}`,
    );
  }
  if (chosen.migrate[from] === undefined) {
    throw refused(
      where,
      `version ${chosen.version} of process "${process}" does not say what becomes of runs of version ${from}; add \`migrate: { ${from}: (run) => … }\` to its definition`,
    );
  }
  return chosen;
}

async function planOf(
  { store, maxPayloadBytes: bytesMax }: MigrateDesk,
  to: AnyProcess,
  { process, from }: MigrateInput,
  { where, label }: Calling,
): Promise<PlanOf> {
  const migrateRun = to.migrate[from];
  const known = await versions(store, process);
  const stepsBefore = await stepsOfVersion(store, process, from);
  if (migrateRun === undefined || stepsBefore === undefined) {
    const have = known.map((one) => one.version).join(", ");
    throw refused(
      where,
      `${label("from")}: no version ${from} of process "${process}" was ever defined, only ${have}`,
    );
  }
  const names = to.steps.map((one) => one.name).join(", ");
  const after = known.find((one) => one.version === to.version);
  if (after?.steps.join(", ") !== names) {
    const has =
      after === undefined ? "no app has defined it yet" : `they are ${after.steps.join(", ")}`;
    throw refused(
      where,
      `the steps of version ${to.version} of process "${process}" are ${names} here; in the database ${has}; start a worker of this code first`,
    );
  }
  return { from, stepsBefore, to, migrate: migrateRun, bytesMax };
}

function refused(where: string, why: string): PawlError {
  return new PawlError("invalid_option", `${where}: ${why}`);
}
