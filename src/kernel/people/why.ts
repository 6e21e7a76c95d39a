/** Why a task is where it is: the facts, as the database answers them, and one sentence for people. */

import type { Executor } from "../../store/executor.ts";
import { type WhyRow, whyRows } from "./sql.ts";
import type { WhyReason } from "./why-reason.ts";
import { whyText } from "./why-text.ts";

export interface Why {
  id: string;
  /** The decisive first. */
  reasons: WhyReason[];
  /** Where it is, what it waits for, since when, and what would free it. */
  line: string;
  /** The head of its lane, which it waits for. */
  blockedBy?: Why;
}

/** undefined when there is no such task. */
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
  return { reason, since, until, detail } as WhyReason;
}

function headOf(reasons: readonly WhyReason[]): string | undefined {
  const lane = reasons.find((one) => one.reason === "lane");
  return lane?.detail.head == null ? undefined : String(lane.detail.head);
}
