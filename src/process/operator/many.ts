/** The verbs that change many runs: all that the filters find, one after the other, each with its own line in the audit. */

import { PawlError } from "../../base/errors.ts";
import { dryRun } from "../../kernel/operator/fields.ts";
import { progressText } from "../../operate/progress.ts";
import { type Calling, type Desk, type Verb, verb } from "../../operate/verb.ts";
import { required, withDefault } from "../../options/field.ts";
import { choice, integer, name } from "../../options/kinds.ts";
import { type RunRow, requireProcess, runs } from "../list/sql.ts";
import type { ChangedRuns, HoldableStatus, OpenStatus, Processes } from "./processes.ts";
import { abandonRun, changeRun, holdRun, type SeenRun } from "./sql.ts";

const RUNS_MAX = 10_000;
const REPORTED_EVERY = 10;

/** In which an operator may decide about a run. One that has ended is not among them. */
const OPEN_STATUSES = ["error", "retry", "held", "waiting", "sleeping", "pending"] as const;
const FILTERS = {
  process: name("only of this process"),
  at: name("only those that stand at this step", "step"),
  limit: withDefault(
    RUNS_MAX,
    integer({ help: "the maximum number of runs to look at, the newest first", max: RUNS_MAX }),
  ),
  dryRun,
} as const;
const STATUS = choice(
  OPEN_STATUSES,
  `only with this status: ${OPEN_STATUSES.join(", ")}`,
  "status",
);

const HOLDABLE = ["running", "retry", "waiting", "sleeping", "pending"] as const;

interface Filter {
  process?: string;
  /** Of one, or of any of several. */
  status: OpenStatus | readonly HoldableStatus[];
  at?: string;
  limit: number;
  dryRun?: boolean;
}

/** What becomes of one run: undefined, or why it was left as it is. */
type Change = (run: { id: string; seen: SeenRun }) => Promise<string | undefined>;

export const restartAll: Verb<Processes["restartAll"], Desk> = verb({
  help: "Run all runs in error again, or others that the filters find, with fresh attempts",
  examples: [
    ["pawl processes restart-all --process order --at pay --dry-run", "how many that would be"],
    ['pawl processes restart-all --process order --why "the API is back"', "each at its step"],
    ["pawl processes restart-all --process order --at ship --step pay", "at an earlier step"],
  ],
  input: {
    ...FILTERS,
    status: withDefault("error", STATUS),
    step: name("the step to go on with (default: where each stands)", "step"),
  },
  changes: true,
  run: (desk, { step, ...filter }, act) =>
    changeAll(desk, filter, act, (run) =>
      decided(desk, act, { ...run, outcome: "restarted", step }),
    ),
  ...shownAs("restart", "restarted"),
});

export const skipAll: Verb<Processes["skipAll"], Desk> = verb({
  help: "Leave out a step of all runs in error there, or of others that the filters find",
  examples: [
    ["pawl processes skip-all --process order --at mail --dry-run", "how many that would be"],
    ['pawl processes skip-all --process order --at mail --why "no mails today"', "all of them"],
  ],
  input: {
    ...FILTERS,
    at: required(name("the step to leave out, where they stand", "step")),
    status: withDefault("error", STATUS),
  },
  changes: true,
  run: (desk, filter, act) =>
    changeAll(desk, filter, act, (run) =>
      decided(desk, act, { ...run, outcome: "skipped", step: filter.at }),
    ),
  ...shownAs("skip", "skipped"),
});

export const holdAll: Verb<Processes["holdAll"], Desk> = verb({
  help: "Hold all live runs before their next step, or those that the filters find",
  examples: [
    ["pawl processes hold-all --process order --at pay --dry-run", "how many"],
    ['pawl processes hold-all --process order --why "the bank is down"', "until release-all"],
  ],
  input: {
    ...FILTERS,
    status: choice(HOLDABLE, `only with this status: ${HOLDABLE.join(", ")}`, "status"),
  },
  changes: true,
  run: async (desk, { status, ...filter }, act) => {
    const statuses = status === undefined ? HOLDABLE : [status];
    return changeAll(desk, { ...filter, status: statuses }, act, async ({ id }) => {
      const { by, why, action } = act;
      const outcome = await holdRun(desk.store, { id, by, why, action });
      return outcome === "held" || outcome === "requested" ? undefined : outcome;
    });
  },
  ...shownAs("hold", "held"),
});

export const releaseAll: Verb<Processes["releaseAll"], Desk> = verb({
  help: "Let all held runs go on, or those that the filters find",
  examples: [["pawl processes release-all --process order --at pay --dry-run", "how many"]],
  input: FILTERS,
  changes: true,
  run: (desk, filter, act) =>
    changeAll(desk, { ...filter, status: "held" }, act, (run) =>
      decided(desk, act, { ...run, outcome: "released" }),
    ),
  ...shownAs("release", "released"),
});

export const abandonAll: Verb<Processes["abandonAll"], Desk> = verb({
  help: "End all runs of a status for good, or those that the filters find",
  examples: [
    [
      "pawl processes abandon-all --status error --process order --dry-run",
      "how many that would be",
    ],
    ["pawl processes abandon-all --status error --process order --yes", "all of them"],
  ],
  input: { ...FILTERS, status: withDefault("error", STATUS) },
  changes: true,
  confirm: async (desk, filter) => {
    if (filter.dryRun === true) return undefined;
    const count = (await found(await desk(), filter)).length;
    if (count === 0) return undefined;
    return {
      text: `pawl processes abandon-all: would end ${runsText(count)}; add --yes to do it, or --dry-run to look first`,
      data: { count },
    };
  },
  run: (desk, filter, act) =>
    changeAll(desk, filter, act, async (run) => {
      const { by, why, action } = act;
      const outcome = await abandonRun(desk.store, { ...run, by, why, action });
      return outcome === "abandoned" || outcome === "requested" ? undefined : outcome;
    }),
  ...shownAs("abandon", "abandoned"),
});

async function decided(
  { store }: Desk,
  { by, why, action }: Calling,
  change: {
    id: string;
    seen: SeenRun;
    outcome: "restarted" | "released" | "skipped";
    step?: string | undefined;
  },
): Promise<string | undefined> {
  const outcome = await changeRun(store, { ...change, by, why, action });
  return outcome === "changed" ? undefined : outcome;
}

/** Oldest first. */
async function found({ store }: Desk, { process, status, at, limit }: Filter): Promise<RunRow[]> {
  if (process !== undefined) await requireProcess(store, process);
  const of = { limit, ...(process !== undefined && { process }) };
  const lists =
    typeof status === "string"
      ? [await runs(store, { ...of, status })]
      : await Promise.all(status.map((one) => runs(store, { ...of, status: one })));
  // a run may change its status between two looks
  const rows = [...new Map(lists.flat().map((row) => [row.id, row])).values()];
  const oldest = rows.toSorted((a, b) => Number(BigInt(a.id) - BigInt(b.id)));
  return oldest.filter((row) => at === undefined || row.step === at).slice(-limit);
}

/** Goes once through what is found at the start: a run that fails again is not met again. */
async function changeAll(
  desk: Desk,
  filter: Filter,
  { where }: Calling,
  change: Change,
): Promise<ChangedRuns> {
  const all = await found(desk, filter);
  const ids = all.map((run) => run.id);
  if (filter.dryRun === true) return { dryRun: true, count: ids.length, ids, left: [] };
  const changed: string[] = [];
  const left: { id: string; why: string }[] = [];
  for (const [i, { id, status, step }] of all.entries()) {
    const refused = await change({ id, seen: { status, step } });
    if (refused === "no_step") throw noStep(where, id, changed.length);
    if (refused === undefined) changed.push(id);
    else left.push({ id, why: LEFT[refused] ?? "it has ended meanwhile" });
    if ((i + 1) % REPORTED_EVERY === 0) desk.report(progressText(where, i + 1, ids.length));
  }
  desk.report("");
  return { dryRun: false, count: changed.length, ids: changed, left };
}

const LEFT: Readonly<Record<string, string>> = {
  running: "a step of it runs now",
  duplicate: "another run with its key lives",
  not_held: "it is no longer held",
  error: "it is in error by now",
  already: "it is held",
  moved: "it has gone on meanwhile",
};

function noStep(where: string, id: string, changed: number): PawlError {
  return new PawlError(
    "invalid_option",
    `${where}: run ${id} has no such step; see \`pawl processes versions\`. Before it ${runsText(changed)} went on`,
    { data: { id } },
  );
}

function shownAs(
  action: string,
  done: string,
): { json(changed: ChangedRuns): unknown; text(changed: ChangedRuns): string } {
  return {
    json: (changed) => ({ action, ...changed }),
    text: ({ dryRun: isDryRun, count, left }) => {
      const what = `${isDryRun ? `would ${action}` : done} ${runsText(count)}`;
      const others = left.map(({ id, why }) => `run ${id} stays as it is: ${why}`);
      return [what, ...others].join("\n");
    },
  };
}

export function runsText(count: number): string {
  return `${count} ${count === 1 ? "run" : "runs"}`;
}
