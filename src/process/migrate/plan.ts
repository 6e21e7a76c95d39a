/** What becomes of one run in another version: its state is read, the definition's function is asked, and its answer is checked. */

import { PawlError, shown } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import { didYouMean } from "../../base/suggest.ts";
import { messageOf } from "../../base/thrown.ts";
import { unheard } from "../../base/unheard.ts";
import { type FieldsOf, readOptions, required } from "../../options/field.ts";
import { name } from "../../options/kinds.ts";
import { anything, object } from "../../options/parts.ts";
import { checkInput } from "../../options/schema.ts";
import type { AnyProcess } from "../define-process.ts";
import { Past } from "../run/past.ts";
import type { Loaded } from "../sql.ts";
import type { MigrateRun, RunAfter, RunBefore } from "./option.ts";
import type { RunMove, VersionRun } from "./sql.ts";

const WHERE = "`migrate`";
const AFTER = {
  step: required(name("the step with which it goes on")),
  input: anything("checked by the schema"),
  outputs: object<Record<string, unknown>>("by the names of steps"),
  data: object<Record<string, unknown>>("what later steps read"),
} satisfies FieldsOf<RunAfter>;

export interface PlanOf {
  from: number;
  /** That version's. */
  stepsBefore: readonly { readonly name: string; readonly kind: string }[];
  to: AnyProcess;
  migrate: MigrateRun;
  bytesMax: number;
}

/** `step`: where it stands. */
export type Planned = { step: string | null } & (
  | { move: RunMove }
  | { left: "running" | "refused"; reason: string }
);

export async function planRun(of: PlanOf, run: VersionRun, loaded: Loaded): Promise<Planned> {
  const past = new Past({ steps: of.stepsBefore }, loaded);
  const step = past.at;
  if (run.status === "running") return { step, left: "running", reason: "a step of it runs now" };
  if (step === null)
    return { step, left: "refused", reason: "all of its steps are done, and it ends by itself" };
  try {
    const before = {
      id: run.id,
      version: of.from,
      step,
      status: run.status as RunBefore["status"],
      input: run.input,
      outputs: { ...past.outputs },
      data: { ...past.data },
    };
    const moved = await moveOf(of, before);
    if (moved !== undefined)
      return {
        step,
        move: { ...moved, no: past.nextNo - 1, waits: waitsOn(past, step, moved, of) },
      };
    return { step, left: "refused", reason: `${WHERE} leaves it as it is` };
  } catch (thrown) {
    return { step, left: "refused", reason: messageOf(thrown) };
  }
}

/** What it waits for goes on: a child is not started twice, a request is not sent twice, no time begins again, and a call whose end nobody saw is asked about. */
function waitsOn(
  past: Past,
  step: string,
  moved: { step: string },
  { stepsBefore, to }: PlanOf,
): number | null {
  const row = past.underWay(step);
  const next = to.steps.find((one) => one.name === moved.step);
  if (row === undefined || next === undefined || moved.step !== step) return null;
  if (stepsBefore.find((one) => one.name === step)?.kind !== next.kind) return null;
  const isSame =
    (row.outcome === "sleeping" && next.kind === "sleep") ||
    (row.outcome === "began" && next.kind === "call") ||
    (row.outcome === "waiting" && next.kind === "wait" && next.signal === row.signal) ||
    (row.outcome === "waiting" && ["child", "send", "send event"].includes(next.kind));
  return isSame ? row.no : null;
}

async function moveOf(
  of: PlanOf,
  before: RunBefore,
): Promise<Omit<RunMove, "no" | "waits"> | undefined> {
  const { id, input } = before;
  const own = { outputs: { ...before.outputs }, data: { ...before.data } }; // the function may change what it gets
  const answer: unknown = of.migrate(before);
  if (answer === undefined || answer === null) return undefined;
  if (answer instanceof Promise) {
    unheard(() => answer);
    throw new PawlError("invalid_option", `${WHERE} returned a promise; it only computes`);
  }
  const after = readOptions(WHERE, AFTER, answer);
  const names = of.to.steps.map((one) => one.name);
  refuseUnknown(of, names, [after.step, ...Object.keys(after.outputs ?? {})]);
  const kept = Object.entries(own.outputs).filter(([step]) => names.includes(step));
  const { bytesMax } = of;
  const text = toJson(after.input ?? input, { what: "its input", bytesMax });
  await checkInput(
    { what: `version ${of.to.version}`, kind: of.to.name, schema: of.to.input },
    JSON.parse(text),
    true,
  );
  const outputs = after.outputs ?? Object.fromEntries(kept);
  return {
    id,
    step: after.step,
    input: text,
    outputs: toJson(outputs, { what: "its outputs", bytesMax: Number.MAX_SAFE_INTEGER }),
    data: toJson(after.data ?? own.data, { what: "its data", bytesMax }),
  };
}

function refuseUnknown({ to }: PlanOf, names: readonly string[], given: readonly string[]): void {
  const unknown = given.find((one) => !names.includes(one));
  if (unknown === undefined) return;
  throw new PawlError(
    "invalid_option",
    `${WHERE}: version ${to.version} has no step ${shown(unknown)}; ${didYouMean(unknown, names)}`,
  );
}
