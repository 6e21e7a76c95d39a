/** The noun `processes`: runs, their steps, and what operators decide about them. */

import { PawlError, shown } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import { maskText } from "../../base/mask.ts";
import { shownRow, shownValue } from "../../base/mask-json.ts";
import { pausing } from "../../kernel/operator/switches/pausing.ts";
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
import { flag, json, name, numberId } from "../../options/kinds.ts";
import type { Store } from "../../store/store.ts";
import {
  type HistoryRow,
  history,
  metaOf,
  requireProcess,
  runs,
  type VersionRow,
  versions as versionsOf,
} from "../list/sql.ts";
import { signalRun } from "../sql.ts";
import { noRun, refuseUnsent } from "../start.ts";
import { abandon } from "./abandon.ts";
import { listRuns } from "./list.ts";
import { abandonAll, holdAll, releaseAll, restartAll, skipAll } from "./many.ts";
import { migrateVerb } from "./migrate-verb.ts";
import type { ChangedRun, HeldRun, Processes, ShownRun } from "./processes.ts";
import { changeRun, holdRun, type RunChange } from "./sql.ts";
import { columnText, heldText, jsonText, standing } from "./text.ts";
import { type ProcessDesk, work } from "./work.ts";

const ID = required(numberId("the run"));
const STEP = required(name("the step where it stands"));

const show: Verb<Processes["show"], Desk> = verb({
  help: "Show a run with all of its steps",
  examples: [
    ["pawl processes show 42", "what was done, with each output and error"],
    ["pawl processes show 42 --payloads", "also what was sent to other systems"],
  ],
  input: { id: ID, payloads: flag("also print what each step sent to other systems") },
  args: ["id"],
  absent: "task_not_found",
  isTolerant: true,
  run: async ({ store }, { id, payloads }): Promise<ShownRun> => {
    const [run] = await runs(store, { id, limit: 1 });
    if (run === undefined) throw noRun(id);
    const [steps, meta] = await Promise.all([history(store, id), metaOf(store, id)]);
    return { run, meta, steps, ...(payloads === true && { hasPayloads: true }) };
  },
  json: ({ run, meta, steps }) => ({
    run: shownRow(run),
    meta: shownValue(meta),
    steps: steps.map(shownRow),
  }),
  text: ({ run, meta, steps, hasPayloads = false }: ShownRun) =>
    [
      `run ${run.id}: process ${run.process} version ${run.version}, ${standing(run)}${run.error === null ? "" : `: ${run.error.message}`}`,
      ...(meta === null ? [] : [`meta: ${jsonText(meta)}`]),
      ...Object.entries(run.columns).map(([name, value]) => `${name}: ${columnText(value)}`),
      table(steps, [
        { head: "NO", value: (row) => row.no, align: "right" },
        { head: "STEP", value: (row) => row.step },
        { head: "OUTCOME", value: outcomeText },
        { head: "ENDED", value: (row) => iso(row.endedAt) },
        { head: "OUTPUT", value: outputText },
        { head: "MESSAGE", value: (row) => row.error?.message ?? row.message ?? row.why },
        { head: "SENT", value: (row) => row.sent?.map((one) => one.action).join(", ") },
        { head: "BY", value: (row) => row.by },
      ]),
      ...steps.flatMap(noteLines),
      ...(hasPayloads ? steps.flatMap(sentLines) : []),
    ].join("\n"),
});

function noteLines({ no, step, notes }: HistoryRow): string[] {
  return (notes ?? []).map(({ level, text }) => `${no} ${step} ${level}: ${maskText(text)}`);
}

function sentLines({ no, step, sent }: HistoryRow): string[] {
  const lines = sent ?? [];
  return lines.map(
    ({ action, payload }) =>
      `${no} ${step} sent ${action}: ${payload === undefined ? REMOVED : jsonText(payload)}`,
  );
}

function outcomeText({ outcome, attempt }: HistoryRow): string {
  return attempt > 1 ? `${outcome} (attempt ${attempt})` : outcome;
}

/** By retention. */
const REMOVED = "(removed)";

function outputText({ output, items, resultsPrunedAt }: HistoryRow): string | null {
  if (resultsPrunedAt !== null) return REMOVED;
  if (items === null) return jsonText(output);
  const { total, done, failed } = items;
  return `${done} of ${total} done${failed === 0 ? "" : `, ${failed} failed`}`;
}

const versions: Verb<Processes["versions"], Desk> = verb({
  help: "List the versions of processes: which have runs, and which a live worker can run",
  examples: [["pawl processes versions new-order", "whether an old version can be removed"]],
  input: { process: name("only of this process") },
  args: ["process"],
  isTolerant: true,
  run: async ({ store }, { process }) => {
    const found = await versionsOf(store, process ?? null);
    if (found.length === 0 && process !== undefined) await requireProcess(store, process);
    return found;
  },
  ...listing<VersionRow>("versions", [
    { head: "PROCESS", value: (row) => row.process },
    { head: "TITLE", value: (row) => row.title },
    { head: "VERSION", value: (row) => row.version, align: "right" },
    { head: "LIVE", value: (row) => row.live, align: "right" },
    { head: "ERRORS", value: (row) => row.errors, align: "right" },
    { head: "NEW", value: (row) => row.fresh, align: "right" },
    { head: "MOST ATTEMPTS", value: mostText },
    { head: "WORKER", value: (row) => (row.isKnown ? "yes" : "no") },
    { head: "HELD", value: heldText },
    { head: "STEPS", value: (row) => row.steps.join(", ") },
  ]),
});

function mostText({ mostAttempts, mostAttemptsId }: VersionRow): string | null {
  return mostAttemptsId === null ? null : `${mostAttempts} (run ${mostAttemptsId})`;
}

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

const hold: Verb<Processes["hold"], Desk> = verb({
  help: "Hold a run before its next step; a step that runs now is finished first",
  examples: [['pawl processes hold 42 --why "the customer called"', "until `release`"]],
  input: { id: ID },
  args: ["id"],
  changes: true,
  run: async ({ store }, { id }, { by, why, action }): Promise<HeldRun> => {
    const outcome = await holdRun(store, { id, by, why, action });
    if (outcome === "held" || outcome === "requested") return { id, outcome };
    throw noRun(id, NOT_HELD[outcome]);
  },
  text: ({ id, outcome }) =>
    outcome === "held" ? `run ${id}: held` : `run ${id}: is held when its step has ended`,
});

const NOT_HELD: Readonly<Record<string, string>> = {
  ended: "it has ended",
  error: "it is in error, where it stays until it is restarted",
  already: "it is held",
};

const release: Verb<Processes["release"], Desk> = verb({
  help: "Let a held run go on, at the step before which it was held",
  input: { id: ID },
  args: ["id"],
  changes: true,
  run: ({ store }, { id }, act) => changed(store, act, { id, outcome: "released" }),
  text: ({ id }) => `run ${id} goes on`,
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

const { pause, resume } = pausing({
  kind: "process",
  name: required(name("the process")),
  pause: {
    help: "Pause a process: none of its runs starts a step any more, on any machine",
    examples: [
      ['pawl processes pause order --why "the shop moves"', "as `pawl off process:order`"],
    ],
  },
  resume: {
    help: "Resume a process: its runs go on where they stand",
    examples: [["pawl processes resume order", "as `pawl on process:order`"]],
  },
});

export const processesNoun: Noun<Processes, ProcessDesk> = {
  name: "processes",
  help: "Look at runs of processes; restart, skip, signal or abandon them",
  verbs: {
    list: listRuns,
    show,
    versions,
    restart,
    skip,
    complete,
    hold,
    release,
    migrate: migrateVerb,
    abandon,
    signal,
    work,
    restartAll,
    holdAll,
    releaseAll,
    skipAll,
    abandonAll,
    pause,
    resume,
  },
};
