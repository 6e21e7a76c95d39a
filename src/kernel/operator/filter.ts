/** Filters of tasks and dead letters: their fields, and what the SQL functions of lists get. */

import { PawlError } from "../../base/errors.ts";
import { type FilterFields, filterField, type Term } from "../../operate/filter/filter.ts";
import type { Calling } from "../../operate/verb.ts";
import type { Field } from "../../options/field.ts";

/** How many of the newest rows of each place a list looks at, if the filter compares more than queue, kind and state. */
export const ROWS_LOOKED_AT = 10_000;

export const TASK_STATES = [
  "ready",
  "scheduled",
  "parked",
  "waiting",
  "running",
  "dead",
  "done",
  "cancelled",
  "expired",
  "removed",
] as const;
export type TaskState = (typeof TASK_STATES)[number];
export const LIVE_STATES: readonly TaskState[] = TASK_STATES.slice(0, 5);
/** What `tasks retry` takes. */
export const RETRIED_STATES: readonly TaskState[] = ["dead", "scheduled"];

export const DEAD_REASONS = [
  "attempts",
  "unrecoverable",
  "crashed",
  "until",
  "invalid",
  "expired",
  "stop-code",
] as const;
export type DeadReason = (typeof DEAD_REASONS)[number];

const FIELDS = {
  queue: "text",
  kind: "text",
  id: "id",
  reason: { choices: DEAD_REASONS },
  err: "part",
  lane: "text",
  key: "text",
  priority: "number",
  attempt: "number",
  worker: "number",
  age: "age",
  since: "since",
  before: "before",
  payload: "json",
  meta: "json",
} satisfies FilterFields;

const help = (example: string) => `only what fits this filter, such as '${example}'`;

export const taskFilter: Field<string, Term[]> = filterField(
  help("state:dead queue:mail,sms kind:send-* age:>10m"),
  { state: { choices: TASK_STATES, isOnEachRow: true }, ...FIELDS },
);
export const deadFilter: Field<string, Term[]> = filterField(
  help('kind:send-* err:"timed out" payload.user.id:42'),
  { state: { choices: ["dead"], isOnEachRow: true }, ...FIELDS },
);

/** Filters of what `tasks cancel` and `tasks retry` change. */
export const liveFilter: Field<string, Term[]> = filterField(
  help("state:scheduled queue:mail,sms kind:send-* age:>10m"),
  { state: { choices: LIVE_STATES, isOnEachRow: true }, ...FIELDS },
);
export const retriedFilter: Field<string, Term[]> = filterField(
  help("state:scheduled kind:send-* err:503"),
  { state: { choices: RETRIED_STATES, isOnEachRow: true }, ...FIELDS },
);

/** What is filtered by options of their own. */
export interface Selection {
  queue?: string | undefined;
  kind?: string | undefined;
  /** A part of the error's message. */
  error?: string | undefined;
  reason?: DeadReason | undefined;
  lane?: string | undefined;
  filter?: readonly Term[] | undefined;
}

/** For the SQL functions of lists: nothing of a filter is part of a statement. */
export function filterJson({ queue, kind, error, reason, lane, filter = [] }: Selection): string {
  const is = (field: string, value: string | undefined, op: Term["op"] = "="): Term[] =>
    value === undefined ? [] : [{ field, isNot: false, op, values: [value], names: [value] }];
  const streams = [...is("queue", queue), ...is("kind", kind)];
  const rows = [...is("reason", reason), ...is("lane", lane), ...is("err", error, "has")].map(
    withPath,
  );
  for (const term of filter) {
    if (term.field === "queue" || term.field === "kind") streams.push(term);
    else if (term.field !== "state") rows.push(withPath(term)); // see statesOf; all dead letters have the same
  }
  const positive = (field: string) => rows.find((term) => term.field === field && !term.isNot);
  const ids = positive("id")?.values;
  const named = { keys: positive("key")?.names, lanes: positive("lane")?.names };
  return JSON.stringify({
    streams,
    rows,
    ...(ids === undefined ? named : { ids }),
    since: positive("since")?.values[0],
  });
}

/** The path as PostgreSQL writes an array, so that no row has to make one. */
function withPath({ path, ...term }: Term): Omit<Term, "path"> & { path?: string } {
  if (path === undefined) return term;
  const parts = path.map((part) => `"${part.replaceAll(/["\\]/g, "\\$&")}"`);
  return { ...term, path: `{${parts.join(",")}}` };
}

/** The states that a filter leaves; without a term about states, `otherwise`. */
export function statesOf(
  filter: readonly Term[] | undefined,
  otherwise: readonly TaskState[],
): TaskState[] {
  const terms = (filter ?? []).filter(({ field }) => field === "state");
  const isAsked = terms.some(({ isNot }) => !isNot);
  return (isAsked ? TASK_STATES : otherwise).filter((state) =>
    terms.every(({ isNot, values }) => values.includes(state) !== isNot),
  );
}

/** A filter without any term would select everything, as an empty variable of a script does. */
export function refuseEmpty(filter: readonly Term[] | undefined, { where, label }: Calling): void {
  if (filter?.length !== 0) return;
  throw new PawlError(
    "invalid_option",
    `${where}: ${label("filter")} is empty; leave it out to select all`,
    { data: { option: "filter" } },
  );
}

/** A last row without an id says that older rows were not read. */
export function withoutMark<Row extends { id: string | null }>(
  rows: Row[],
): { rows: Row[]; isCut: boolean } {
  const isCut = rows.at(-1)?.id === null;
  return { rows: isCut ? rows.slice(0, -1) : rows, isCut };
}

export const CUT: string = `looked only at the newest ${ROWS_LOOKED_AT} of each place; to look further back, name a queue, a kind, an id, a key or a lane`;
