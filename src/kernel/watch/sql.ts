import { LOOP_MS, type PreparedExecutor } from "../../store/executor.ts";

/** Chores that any worker does for the whole fleet. */
export type Chore = "promote" | "sort" | "admit" | "use" | "expire" | "rescue";

export function isDue(chore: Chore): string {
  return `pawl.is_due_v1('${chore}')`;
}

/** `$1`: the ids of streams. */
export const IS_WORK_SEEN = "pawl.is_work_seen_v1($1)";

/** Each question's `sql` is a boolean expression of at most one parameter, `$1`. Answers in their order. */
export async function ask(
  executor: PreparedExecutor,
  questions: readonly { sql: string; value?: () => unknown }[],
): Promise<boolean[]> {
  const values: unknown[] = [];
  const columns = questions.map(({ sql, value }) =>
    value === undefined ? sql : sql.replaceAll("$1", `$${values.push(value())}`),
  );
  const text = `select array[${columns.join(", ")}] as answers`;
  const [row] = await executor.prepared<{ answers: boolean[] }>(text, values, LOOP_MS);
  return row?.answers ?? [];
}
