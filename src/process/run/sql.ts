/** Statements about the items of `each` steps. */

import type { RecordedEvent } from "../../kernel/heard.ts";
import type { Fence } from "../../kernel/task.ts";
import { results } from "../../operate/results.ts";
import { type Executor, LOOP_MS } from "../../store/executor.ts";
import type { Recorded } from "../sql.ts";

export type ItemOutcome = "done" | "failed" | "retry";

/** What became of an item. `output` and `error` are JSON texts. */
export interface ItemRecord {
  readonly fence: Fence;
  /** Of the row that has the list. */
  readonly no: number;
  readonly item: number;
  readonly outcome: ItemOutcome;
  readonly round: number;
  readonly attempt: number;
  readonly delayMs?: number;
  readonly output?: string | null;
  readonly error?: string | null;
}

/** Answers for each what became of it. */
export async function recordItems(
  executor: Executor,
  items: readonly ItemRecord[],
): Promise<Recorded[]> {
  const rows = await executor.rows<{ id: string }>(
    "select id from pawl.record_items_v1($1, $2) r (id)",
    [items[0]?.fence.worker, `[${items.map(itemJson).join(",")}]`],
    LOOP_MS,
  );
  const refused = new Set(rows.map((row) => String(row.id)));
  return items.map(({ fence }) => (refused.has(fence.id) ? "lost" : "recorded"));
}

function itemJson({ fence, delayMs, output, error, ...record }: ItemRecord): string {
  const { id, seq, claim } = fence;
  const rest = JSON.stringify({ id, seq, claim, delay_ms: delayMs, ...record });
  const texts = [
    ...(typeof output === "string" ? [`,"output":${output}`] : []),
    ...(typeof error === "string" ? [`,"error":${error}`] : []),
  ];
  return `${rest.slice(0, -1)}${texts.join("")}}`;
}

export interface ItemRow {
  readonly item: number;
  readonly outcome: ItemOutcome;
  readonly round: number;
  readonly attempt: number;
  readonly left_ms: number | null;
}

export function loadItems(executor: Executor, id: string, no: number): Promise<ItemRow[]> {
  return executor.rows("select * from pawl.load_items_v1($1, $2)", [id, no], LOOP_MS);
}

export interface ItemResult {
  readonly item: number;
  readonly outcome: "done" | "failed";
  readonly output: unknown;
  readonly error: string | null;
}

/** No row if they are larger than `bytesMax`. */
export function itemResults(
  executor: Executor,
  { id, no, bytesMax }: { id: string; no: number; bytesMax: number },
): Promise<ItemResult[]> {
  const parameters = [id, no, bytesMax];
  return executor.rows("select * from pawl.item_results_v1($1, $2, $3)", parameters, LOOP_MS);
}

/** The events that rows of runs have recorded, in the order of the rows; none of a run that was abandoned before. */
export function sentEvents(
  executor: Executor,
  rows: readonly { run: string; no: number }[],
): Promise<RecordedEvent[]> {
  return results(
    executor,
    `select e.id::text as event_id, e.name as event_name, e.aggregate_type, e.aggregate_id
       from unnest($1::bigint[], $2::int[]) with ordinality as r (run, no, place)
       join pawl.process_step s on s.run_id = r.run and s.no = r.no
       join pawl.event e on e.id = case when s.signal like 'pawl:event:%' then substr(s.signal, 12)::uuid end
      order by r.place`,
    [rows.map(({ run }) => run), rows.map(({ no }) => no)],
  );
}
