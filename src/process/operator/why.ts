/** Why a run does not move: its step, what it waits for, and what an operator can do. */

import { quotedLine } from "../../kernel/operator/held-text.ts";
import type { Why } from "../../kernel/operator/why.ts";
import { iso } from "../../operate/table.ts";
import type { Executor } from "../../store/executor.ts";
import { type RunRow, type RunStatus, runs } from "../list/sql.ts";
import { taskText } from "./text.ts";

/** A run that a worker has, or could have, is explained by its task alone. */
const TELLS: Readonly<Partial<Record<RunStatus, (run: RunRow) => string>>> = {
  waiting: waitingText,
  sleeping: ({ id, step, until }) =>
    `sleeps at step ${step} until ${iso(until)}; \`pawl processes skip ${id} ${step}\` ends that now`,
  held: ({ id, step, message }) =>
    `held at step ${step}${quoted(message)} until an operator decides; \`pawl processes release ${id}\` runs the step, \`pawl processes skip ${id} ${step}\` leaves it out, \`pawl processes complete ${id} ${step} --output …\` takes it for done`,
  retry: ({ id, step, runAt, message, error }) =>
    `step ${step} failed${quoted(error?.message ?? message)}, and is tried again at ${iso(runAt)}; \`pawl processes work ${id}\` tries it now`,
  error: ({ id, step, error }) =>
    `in error at step ${step}${quoted(error?.message)}; \`pawl processes restart ${id}\` tries it again, \`pawl processes skip ${id} ${step}\` leaves it out, \`pawl processes abandon ${id}\` ends the run`,
};

/** Undefined for a task that is no run. */
export async function whyRun(executor: Executor, found: Why): Promise<Why | undefined> {
  const [run] = await runs(executor, { id: found.id, limit: 1 });
  if (run === undefined) return undefined;
  const subject = `run ${run.id} of process ${run.process} version ${run.version}`;
  const tells = isAsItStands(found) ? TELLS[run.status]?.(run) : undefined;
  const at = run.step === null ? "" : `at step ${run.step}, `;
  const others = found.reasons.some(({ reason }) => reason === "locked") ? `; ${found.line}` : "";
  const blocks = found.reasons.some((one) => one.reason === "dead" && one.detail.isBlocking);
  const lane = blocks ? `; lane ${run.lane} waits for it` : "";
  const line = tells === undefined ? `${at}${found.line}` : `${tells}${lane}${others}`;
  return { ...found, subject, line };
}

/** What it waits for is not over yet: it is in no claim, and not due. */
function isAsItStands({ reasons }: Why): boolean {
  return reasons.some(
    (one) =>
      one.reason === "parked" ||
      one.reason === "dead" ||
      (one.reason === "scheduled" && !one.detail.isLate),
  );
}

function waitingText(run: RunRow): string {
  const { id, step, waitsFor, waitsForTask, waitsForEvent, until } = run;
  const end = until === null ? "" : `, until ${iso(until)} at the latest`;
  const skip = `\`pawl processes skip ${id} ${step}\` leaves that out`;
  if (waitsForEvent !== null)
    return `waits at step ${step} for the deliveries of ${taskText(run)}${end}; \`pawl why ${waitsForEvent.id}\` explains them, ${skip}`;
  if (waitsForTask === null)
    return `waits at step ${step} for signal ${waitsFor}${end}; \`pawl processes signal ${id} ${waitsFor}\` sends it (with \`--payload '<json>'\` if the step takes one), ${skip}`;
  const { id: other, kind, status } = waitsForTask;
  return `waits at step ${step} for the end of ${other} (${kind ?? "unknown"}, ${status ?? "forgotten"})${end}; \`pawl why ${other}\` explains that one, ${skip}`;
}

function quoted(text: string | null | undefined): string {
  return text == null || text === "" || text.startsWith("\n") ? "" : quotedLine(text);
}
