/** The verb `abandon`: ends a run for good, and, if it is asked to, what the run has started. */

import { dryRun } from "../../kernel/operator/fields.ts";
import { type Calling, type Desk, type Verb, verb } from "../../operate/verb.ts";
import { required } from "../../options/field.ts";
import { flag, numberId } from "../../options/kinds.ts";
import { runs } from "../list/sql.ts";
import { noRun } from "../start.ts";
import { runsText } from "./many.ts";
import type { AbandonedRun, Processes } from "./processes.ts";
import { abandonRun, livingChildren } from "./sql.ts";

const CHILDREN_MAX = 10_000;

export const abandon: Verb<Processes["abandon"], Desk> = verb({
  help: "End a run for good; no further step of it runs",
  more: `With --children also the runs that its steps have started and that have not ended, and those that they have started,
up to ${CHILDREN_MAX}. A run that it only waits for, because that had the same key, goes on. If the run itself has ended, its children are ended.`,
  examples: [
    ['pawl processes abandon 42 --why "ordered twice"', "its children go on"],
    ["pawl processes abandon 42 --children --dry-run", "which runs that would be"],
  ],
  input: {
    id: required(numberId("the run")),
    children: flag("also the runs that it has started, and those that they have started"),
    dryRun,
  },
  args: ["id"],
  changes: true,
  confirm: async (desk, { id, children = false, dryRun: isDryRun = false }) => {
    if (!children || isDryRun) return undefined;
    const count = (await livingChildren((await desk()).store, id, CHILDREN_MAX)).length;
    if (count === 0) return undefined;
    return {
      text: `pawl processes abandon ${id} --children: would end run ${id} and ${runsText(count)} below it; add --yes to do it, or --dry-run to look first`,
      data: { id, count },
    };
  },
  run: (desk, { id, children = false, dryRun: isDryRun = false }, act) =>
    isDryRun ? planned(desk, id, children) : abandonFamily(desk, id, { children, act }),
  text: ({ id, outcome, children }) => {
    const below = children === undefined ? "" : `; ${childrenText(children)}`;
    return `run ${id}: ${OUTCOMES[outcome]}${below}`;
  },
});

const OUTCOMES: Readonly<Record<AbandonedRun["outcome"], string>> = {
  abandoned: "abandoned",
  requested: "ends when its step has ended",
  ended: "had ended before",
  planned: "would be abandoned",
};

function childrenText(ids: readonly string[]): string {
  if (ids.length === 0) return "no run below it lives";
  return `${runsText(ids.length)} below it too: ${ids.join(", ")}`;
}

async function planned({ store }: Desk, id: string, isDeep: boolean): Promise<AbandonedRun> {
  const [run] = await runs(store, { id, limit: 1 });
  if (run === undefined) throw noRun(id);
  const hasEnded = run.endedAt !== null && run.status !== "error";
  if (hasEnded && !isDeep) throw noRun(id, "it has ended");
  const children = isDeep ? { children: await livingChildren(store, id, CHILDREN_MAX) } : {};
  return { id, outcome: hasEnded ? "ended" : "planned", ...children };
}

async function abandonFamily(
  { store, report }: Desk,
  id: string,
  { children: isDeep, act: { by, why, action, where } }: { children: boolean; act: Calling },
): Promise<AbandonedRun> {
  const end = (one: string) => abandonRun(store, { id: one, by, why, action });
  const outcome = await end(id);
  if (outcome === "ended" && !isDeep) throw noRun(id, "it has ended");
  if (outcome !== "abandoned" && outcome !== "requested" && outcome !== "ended") throw noRun(id);
  if (!isDeep) return { id, outcome };
  const tried = new Set<string>();
  const children: string[] = [];
  // a run that had not been abandoned yet may have started another one since it was looked for
  for (let more = await next(); more.length > 0; more = await next()) {
    for (const child of more) {
      const ended = await end(child);
      tried.add(child);
      if (ended === "abandoned" || ended === "requested") children.push(child);
    }
    report(`${where}: ${children.length} runs below ${id}`);
  }
  report("");
  return { id, outcome, children };

  async function next(): Promise<string[]> {
    const found = await livingChildren(store, id, CHILDREN_MAX);
    return found.filter((one) => !tried.has(one));
  }
}
