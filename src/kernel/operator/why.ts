/** Why a task is in its state: the facts from the database, and one sentence for people. */

import { ownJson } from "../../operate/results.ts";
import type { Executor } from "../../store/executor.ts";
import { type WhyRow, whyRows } from "./sql.ts";
import type { WhyReason } from "./why-reason.ts";
import { whyText } from "./why-text.ts";

export interface Why {
  id: string;
  /** The decisive reason first. */
  reasons: WhyReason[];
  /** Its state, what it waits for, since when, and what would change that. */
  line: string;
  /** What it is, where it is not just a task: `run 7 of process order`. */
  subject?: string;
  /** Why the head of its lane, for which it waits, is in its state. */
  blockedBy?: Why;
}

/** Returns undefined if there is no such task. */
export async function whyTask(executor: Executor, id: string): Promise<Why | undefined> {
  const rows = await whyRows(executor, id);
  const [first] = rows;
  if (first === undefined) return undefined;
  const reasons = rows.map(reasonOf);
  const line = whyText(reasons, { id, now: first.now });
  const head = headOf(reasons);
  // a head waits in no lane, so this goes one level deep
  const blockedBy = head === undefined ? undefined : await whyTask(executor, head);
  if (blockedBy === undefined) return { id, reasons, line };
  return { id, reasons, line: `${line}; task ${head}: ${blockedBy.line}`, blockedBy };
}

function reasonOf({ reason, since, until, detail }: WhyRow): WhyReason {
  return { reason, since, until, detail: ownJson(detail) } as WhyReason;
}

function headOf(reasons: readonly WhyReason[]): string | undefined {
  return reasons.find((one) => one.reason === "lane")?.detail.headId ?? undefined;
}
