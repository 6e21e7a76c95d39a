/**
 * Runs the items of a list, some at once. The list is stored when the step begins, so that it is the same after a crash; each item's end is
 * recorded, under the task's fence, when it comes.
 */

import { shown } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import { isName } from "../../base/text.ts";
import { Advance, Unrecoverable } from "../../kernel/thrown.ts";
import type { Each, EachItem } from "../step.ts";
import { Items } from "./items.ts";
import type { ItemList } from "./past.ts";
import type { StepAttempt } from "./step-attempt.ts";

const ITEMS_MAX = 10_000;
const KEY_CHARS_MAX = 200;
const FAILED_SHOWN_MAX = 3;
/** Of what an output takes besides the items' own. */
const BYTES_EACH = 100;

export async function each(attempt: StepAttempt): Promise<void> {
  const { step, past, task } = attempt;
  const { each: spec } = step;
  if (spec === null) throw new Unrecoverable(`step "${step.name}": it has no items`);
  const list = past.list(step.name) ?? (await begin(attempt));
  const keys = keysOf(list.items, spec, step.name);
  const items = new Items(attempt, { spec, list, keys });
  await items.load();
  await items.run();
  if (task.signal.aborted) throw task.signal.reason;
  const { nextMs } = items;
  if (nextMs !== undefined) throw new Advance(nextMs); // another claim goes on then; this one holds a slot
  await end(attempt, { spec, list, keys });
}

async function begin(attempt: StepAttempt): Promise<ItemList> {
  const { step, past, bytesMax } = attempt;
  const { name } = step;
  const made = await attempt.performing(async (context) => step.run?.(context));
  if (!Array.isArray(made))
    throw new Unrecoverable(`step "${name}": \`items\` returned ${shown(made)}, not a list`);
  if (made.length > ITEMS_MAX)
    throw new Unrecoverable(
      `step "${name}": \`items\` returned ${made.length} items, more than ${ITEMS_MAX}; let each item be a part of them, or start a child for each part`,
    );
  const output = toJson(made, { what: `items of step "${name}"`, bytesMax });
  keysOf(JSON.parse(output) as unknown[], step.each, name);
  await attempt.record([attempt.plain({ outcome: "began", next: name, output })]);
  const list = past.list(name);
  if (list === undefined) throw new Unrecoverable(`step "${name}": its list was not kept`);
  return list;
}

/** @throws Unrecoverable where two items would be taken for one */
function keysOf(items: readonly unknown[], spec: Each | null, step: string): string[] {
  const key = spec?.key ?? null;
  if (key === null) return items.map((_, i) => String(i));
  const seen = new Set<string>();
  return items.map((item, i) => {
    const made = key(item as never);
    if (!isName(made, KEY_CHARS_MAX))
      throw new Unrecoverable(
        `step "${step}": \`key\` returned ${shown(made)} for item ${i}, not a text of 1 to ${KEY_CHARS_MAX} characters`,
      );
    if (seen.has(made))
      throw new Unrecoverable(
        `step "${step}": \`key\` returned ${shown(made)} for two items; give each its own`,
      );
    seen.add(made);
    return made;
  });
}

interface Ended {
  spec: Each;
  list: ItemList;
  keys: readonly string[];
}

async function end(attempt: StepAttempt, { spec, list, keys }: Ended): Promise<void> {
  const { step, task, after, bytesMax } = attempt;
  const { name } = step;
  const total = list.items.length;
  const place = { id: task.taskId, no: list.no };
  const rows = await attempt.recorder.items(place.id, place.no);
  const failed = rows.filter((row) => row.outcome === "failed");
  const room = Math.max(bytesMax - total * BYTES_EACH, 0);
  const results = await attempt.recorder.results({ ...place, bytesMax: room });
  if (failed.length > 0 && spec.onFailed === "error") {
    const some = results.filter((row) => row.outcome === "failed").slice(0, FAILED_SHOWN_MAX);
    const why = some.map((row) => `${shown(keys[row.item])}: ${row.error}`).join("; ");
    throw new Unrecoverable(
      `step "${name}": ${failed.length} of ${total} items failed${why && ` (${why})`}; \`pawl processes restart ${task.taskId}\` runs these again`,
    );
  }
  const counts = { total, done: total - failed.length, failed: failed.length };
  const items = results.map((row): EachItem<unknown> => {
    const { item, outcome: status, output, error } = row;
    return { key: keys[item] ?? String(item), status, output: output ?? null, error };
  });
  const whole = JSON.stringify(items.length === total ? { ...counts, items } : counts);
  const isShort = Buffer.byteLength(whole) <= bytesMax;
  const output = isShort ? whole : JSON.stringify(counts);
  await attempt.end({ outcome: "done", next: after, output });
}
