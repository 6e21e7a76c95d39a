/** The noun `processes`: runs, their steps, and what operators decide about them. */

import { PawlError, shown } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import { shownRow } from "../../base/mask-json.ts";
import { limit } from "../../kernel/operator/fields.ts";
import { PAYLOAD_BYTES_DEFAULT } from "../../kernel/payload.ts";
import { iso, table } from "../../operate/table.ts";
import {
  type Calling,
  type Desk,
  listing,
  type Noun,
  type Verb,
  verb,
} from "../../operate/verb.ts";
import { required } from "../../options/field.ts";
import { choice, json, name, numberId } from "../../options/kinds.ts";
import type { Store } from "../../store/store.ts";
import {
  abandonRun,
  changeRun,
  type HistoryRow,
  history,
  RUN_STATUSES,
  type RunChange,
  type RunRow,
  runs,
  signalRun,
  type VersionRow,
  versions as versionsOf,
} from "../sql.ts";
import { noRun, refuseUnsent } from "../start.ts";
import type { AbandonedRun, ChangedRun, Processes, ShownRun } from "./processes.ts";

const ID = required(numberId("the run"));
const STEP = required(name("the step where it stands"));

const list: Verb<Processes["list"], Desk> = verb({
  help: "List runs of processes, the newest first",
  examples: [
    ["pawl processes list --status error", "those that wait for a person"],
    ["pawl processes list --process new-order --key 42", "the runs with a key"],
  ],
  input: {
    process: name("only of this process"),
    status: choice(RUN_STATUSES, RUN_STATUSES.join(", "), "status"),
    key: name("only with this key", "key"),
    limit: limit(),
  },
  isTolerant: true,
  run: ({ store }, filter) => runs(store, filter),
  json: (rows) => ({ runs: rows }),
  text: (rows: RunRow[]) =>
    table(rows, [
      { head: "ID", value: (row) => row.id, align: "right" },
      { head: "PROCESS", value: (row) => row.process },
      { head: "VERSION", value: (row) => row.version, align: "right" },
      { head: "STATUS", value: (row) => row.status },
      { head: "STEP", value: (row) => row.step },
      { head: "WAITS FOR", value: (row) => row.waitsFor },
      { head: "UNTIL", value: (row) => iso(row.until) },
      { head: "KEY", value: (row) => row.key },
      { head: "STARTED", value: (row) => iso(row.createdAt) },
      { head: "ENDED", value: (row) => iso(row.endedAt) },
      { head: "MESSAGE", value: (row) => row.error?.message ?? row.message },
    ]),
});

const show: Verb<Processes["show"], Desk> = verb({
  help: "Show a run with all of its steps",
  examples: [["pawl processes show 42", "what was done, with each output and error"]],
  input: { id: ID },
  args: ["id"],
  absent: "task_not_found",
  isTolerant: true,
  run: async ({ store }, { id }): Promise<ShownRun> => {
    const [run] = await runs(store, { id, limit: 1 });
    if (run === undefined) throw noRun(id);
    return { run, steps: await history(store, id) };
  },
  json: ({ run, steps }) => ({ run, steps: steps.map(shownRow) }),
  text: ({ run, steps }: ShownRun) =>
    [
      `run ${run.id}: process ${run.process} version ${run.version}, ${statusText(run)}`,
      table(steps, [
        { head: "NO", value: (row) => row.no, align: "right" },
        { head: "STEP", value: (row) => row.step },
        { head: "OUTCOME", value: outcomeText },
        { head: "ENDED", value: (row) => iso(row.endedAt) },
        { head: "OUTPUT", value: (row) => jsonText(row.output) },
        { head: "MESSAGE", value: (row) => row.error?.message ?? row.message ?? row.why },
        { head: "SENT", value: (row) => row.sent?.map((one) => one.action).join(", ") },
        { head: "BY", value: (row) => row.by },
      ]),
    ].join("\n"),
});

function statusText({ status, step, waitsFor, until, error }: RunRow): string {
  const at = step === null ? "" : ` at step ${step}`;
  const signal = waitsFor === null ? "" : ` for signal ${waitsFor}`;
  const time = until === null ? "" : ` until ${iso(until)}`;
  return `${status}${at}${signal}${time}${error === null ? "" : `: ${error.message}`}`;
}

function outcomeText({ outcome, attempt }: HistoryRow): string {
  return attempt > 1 ? `${outcome} (attempt ${attempt})` : outcome;
}

function jsonText(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(shownRow({ value }).value);
}

const versions: Verb<Processes["versions"], Desk> = verb({
  help: "List the versions of processes: which have runs, and which a live worker can run",
  examples: [["pawl processes versions new-order", "whether an old version can be removed"]],
  input: { process: name("only of this process") },
  args: ["process"],
  isTolerant: true,
  run: ({ store }, { process }) => versionsOf(store, process ?? null),
  ...listing<VersionRow>("versions", [
    { head: "PROCESS", value: (row) => row.process },
    { head: "VERSION", value: (row) => row.version, align: "right" },
    { head: "LIVE", value: (row) => row.live, align: "right" },
    { head: "ERRORS", value: (row) => row.errors, align: "right" },
    { head: "WORKER", value: (row) => (row.isKnown ? "yes" : "no") },
    { head: "STEPS", value: (row) => row.steps.join(", ") },
  ]),
});

/** Why a run was left as it is; of others there is none, or it has ended. */
const REFUSED: Readonly<Record<string, (run: { id: string; step: string }) => string>> = {
  no_step: ({ step }) => `it has no step ${step}; see \`pawl processes versions\``,
  moved: ({ id, step }) => `it does not stand at step ${step}; see \`pawl processes show ${id}\``,
  duplicate: () =>
    "another run with its key lives, so it stays in error; see `pawl processes list --key`",
  not_held: ({ id }) => `it is not held; see \`pawl processes show ${id}\``,
};

async function changed(
  store: Store,
  act: Calling,
  change: Pick<RunChange, "id" | "outcome" | "step" | "output">,
): Promise<ChangedRun> {
  const { by, why, action } = act;
  const outcome = await changeRun(store, { ...change, by, why, action });
  const { id, step = null } = change;
  if (outcome === "changed") return { id, step };
  const data = { id };
  if (outcome === "running") {
    const message = `run ${id}: a step of it runs now; try again when it has ended`;
    throw new PawlError("task_running", message, { data });
  }
  const refused = REFUSED[outcome]?.({ id, step: shown(step) });
  if (refused !== undefined)
    throw new PawlError("invalid_option", `run ${id}: ${refused}`, { data });
  throw noRun(id, outcome === "ended" ? "it has ended" : undefined);
}

const restart: Verb<Processes["restart"], Desk> = verb({
  help: "Run a run again, with fresh attempts, at the step where it stands or at another one",
  examples: [
    ['pawl processes restart 42 --why "the API is back"', "at the step that failed"],
    ["pawl processes restart 42 --step pay", "at an earlier step"],
  ],
  input: { id: ID, step: name("the step to go on with", "step") },
  args: ["id"],
  changes: true,
  run: ({ store }, { id, step }, act) => changed(store, act, { id, outcome: "restarted", step }),
  text: ({ id, step }) => `run ${id} goes on${step === null ? "" : ` with step ${step}`}`,
});

const skip: Verb<Processes["skip"], Desk> = verb({
  help: "Leave out the step where a run stands",
  examples: [["pawl processes skip 42 ship", "refused unless it stands at ship"]],
  input: { id: ID, step: STEP },
  args: ["id", "step"],
  changes: true,
  run: ({ store }, { id, step }, act) => changed(store, act, { id, outcome: "skipped", step }),
  text: ({ id, step }) => `run ${id} goes on after step ${step}`,
});

const complete: Verb<Processes["complete"], Desk> = verb({
  help: "Take the step where a run stands for done",
  examples: [
    [`pawl processes complete 42 pay --output '{"paid": true}'`, "later steps read this output"],
  ],
  input: { id: ID, step: STEP, output: json("what the step would have returned") },
  args: ["id", "step"],
  changes: true,
  run: ({ store }, { id, step, output }, act) =>
    changed(store, act, {
      id,
      outcome: "completed",
      step,
      output:
        output === undefined
          ? undefined
          : toJson(output, { what: "the output", bytesMax: PAYLOAD_BYTES_DEFAULT }),
    }),
  text: ({ id, step }) => `run ${id} goes on after step ${step}`,
});

const release: Verb<Processes["release"], Desk> = verb({
  help: "Let a held run go on, at the step before which it was held",
  input: { id: ID },
  args: ["id"],
  changes: true,
  run: ({ store }, { id }, act) => changed(store, act, { id, outcome: "released" }),
  text: ({ id }) => `run ${id} goes on`,
});

const abandon: Verb<Processes["abandon"], Desk> = verb({
  help: "End a run for good; no further step of it runs",
  input: { id: ID },
  args: ["id"],
  changes: true,
  run: async ({ store }, { id }, { by, why }): Promise<AbandonedRun> => {
    const outcome = await abandonRun(store, { id, by, ...(why !== undefined && { why }) });
    if (outcome === "abandoned" || outcome === "requested") return { id, outcome };
    throw noRun(id, outcome === "ended" ? "it has ended" : undefined);
  },
  text: ({ id, outcome }) =>
    outcome === "abandoned" ? `run ${id}: abandoned` : `run ${id}: ends when its step has ended`,
});

const signal: Verb<Processes["signal"], Desk> = verb({
  help: "Send a signal to a run that waits for it, or will",
  examples: [[`pawl processes signal 42 approved --payload '{"by": "ada"}'`, "its step goes on"]],
  input: {
    id: ID,
    name: required(name("the signal")),
    payload: json("what comes with it"),
  },
  args: ["id", "name"],
  changes: true,
  run: async ({ store }, { id, name: own, payload }, { by, why, action }) => {
    const text = toJson(payload ?? null, { what: "the payload", bytesMax: PAYLOAD_BYTES_DEFAULT });
    const sent = await signalRun(store, { id, name: own, payload: text, by, why, action });
    refuseUnsent(sent, { id, signal: own });
    return { id };
  },
  text: ({ id }) => `run ${id}: signal sent`,
});

export const processesNoun: Noun<Processes, Desk> = {
  name: "processes",
  help: "Look at runs of processes; restart, skip, signal or abandon them",
  verbs: { list, show, versions, restart, skip, complete, release, abandon, signal },
};
