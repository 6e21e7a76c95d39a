/** The verbs that change dead letters, `retry` and `remove`: by id, or all that the filters find. */

import { indentedJson } from "../../../base/json-indent.ts";
import { type RawJson, rawJson } from "../../../base/json-text.ts";
import { messageOf } from "../../../base/thrown.ts";
import type { Term } from "../../../operate/filter/filter.ts";
import { idsOrAll } from "../../../operate/ids-or-all.ts";
import { notEdited } from "../../../operate/not-edited.ts";
import { type Calling, type Desk, type Verb, verb } from "../../../operate/verb.ts";
import type { Field } from "../../../options/field.ts";
import { choice, flag, json, name, numberId, text } from "../../../options/kinds.ts";
import { asItIs, several } from "../../../options/parts.ts";
import type { Store } from "../../../store/store.ts";
import { dryRun } from "../fields.ts";
import {
  DEAD_REASONS,
  type DeadReason,
  deadFilter,
  refuseEmpty,
  type Selection,
} from "../filter.ts";
import { requireNames } from "../known.ts";
import { findTask } from "../sql.ts";
import { duplicatesText } from "../tasks/change.ts";
import { inOtherState, noTask } from "../tasks/find.ts";
import type { TasksDesk } from "../tasks/tasks.ts";
import { changeAll, changeOnly } from "./batches.ts";
import type { ChangedDead, DeadLetters } from "./dead.ts";
import { requireDeadTask, requireOne, retryAs } from "./edited.ts";
import { countDead, removeDead, retryDead, whichAreDead } from "./sql.ts";

export const FILTERS: {
  readonly [Name in "kind" | "queue" | "error" | "lane"]: Field<string>;
} & { readonly reason: Field<DeadReason>; readonly filter: Field<string, Term[]> } = {
  filter: deadFilter,
  kind: name("only of this kind"),
  queue: name("only of this queue"),
  error: text("only with this text in the error's message"),
  reason: choice(DEAD_REASONS, `only with this reason: ${DEAD_REASONS.join(", ")}`, "reason"),
  lane: name("only of this lane", "key"),
};

const INPUT = {
  ids: several(numberId("the dead letters")),
  all: flag("all dead letters, or all that match the filters"),
  ...FILTERS,
  dryRun,
} as const;

interface Input extends Selection {
  ids?: string[];
  all?: boolean;
  dryRun?: boolean;
}

type Action = "retry" | "remove";

const RETRY = {
  ...INPUT,
  payload: json("retry one as a new task with this payload; the dead letter ends as removed"),
} as const;

export const retry: Verb<DeadLetters["retry"], TasksDesk> = verb({
  help: "Send dead letters back to their queues, with the same id and fresh attempts",
  examples: [
    ["pawl dead retry 42 43", "these two; neither, unless both are dead"],
    ["pawl dead retry --all --kind send-email --dry-run", "how many that would be"],
    ['pawl dead retry --all --error "timed out"', "all that died of a timeout"],
    ["pawl dead retry --all --lane order-7", "and the lane goes on after it"],
    ["pawl dead retry 42 --edit", "as a new task, with a payload that you correct"],
    ["pawl dead retry --all --filter 'kind:send-* payload.user.id:42'", "all that fit a filter"],
  ],
  input: RETRY,
  args: ["ids"],
  form: {
    input: {
      ...RETRY,
      filter: asItIs(deadFilter),
      edit: flag("edit the payload in $EDITOR, then the same as with --payload"),
    },
    args: ["ids"],
    given: async ({ edit, ...typed }, { base, calling, terminal }) => {
      if (edit !== true) return typed;
      if (typed.payload !== undefined)
        throw notEdited("--payload says it already; give one of the two");
      const id = requireOne(typed.all === true ? undefined : typed.ids, calling);
      const { payloadText } = await requireDeadTask((await base()).store, id);
      return {
        ...typed,
        payload: editedJson(await terminal.edit(indentedJson(payloadText), ".json")),
      };
    },
  },
  changes: true,
  check: (input, calling) => {
    const ids = targets(input, calling);
    if (input.payload !== undefined) requireOne(ids, calling);
  },
  run: async (desk: TasksDesk, { payload, ...input }, calling) => {
    if (payload === undefined) return change(desk, "retry", { input, calling });
    const id = requireOne(input.ids, calling);
    return retryAs(desk.store, desk.editJob, {
      id,
      payload,
      isDryRun: input.dryRun === true,
      act: calling,
    });
  },
  ...shownAs("retry", "retried"),
});

function editedJson(text: string): RawJson {
  try {
    return rawJson(text);
  } catch (error) {
    const { cause } = error as Error; // of JSON.parse, which says where
    throw notEdited(`the text is not JSON: ${messageOf(cause)}`);
  }
}

export const remove: Verb<DeadLetters["remove"], Desk> = verb({
  help: "Discard dead letters; they go to history as removed",
  examples: [
    ["pawl dead remove 42", "this one"],
    ["pawl dead remove --all --kind send-email --dry-run", "how many that would be"],
    ["pawl dead remove --all --kind send-email --yes", "all of a kind"],
  ],
  input: INPUT,
  args: ["ids"],
  changes: true,
  check: targets,
  confirm: async (desk, input, calling) => {
    if (input.dryRun === true || targets(input, calling) !== undefined) return undefined;
    const { count } = await countDead((await desk()).store, selectionOf(input));
    if (count === 0) return undefined;
    return {
      text: `pawl dead remove --all: would remove ${count} dead letters; add --yes to do it, or --dry-run to look first`,
      data: { count },
    };
  },
  run: (desk, input, calling) => change(desk, "remove", { input, calling }),
  ...shownAs("remove", "removed"),
});

function selectionOf({ kind, queue, error, reason, lane, filter }: Selection): Selection {
  return { kind, queue, error, reason, lane, filter };
}

function targets(input: Input, calling: Calling): string[] | undefined {
  refuseEmpty(input.filter, calling);
  return idsOrAll({ ids: input.ids, all: input.all, filters: { ...selectionOf(input) } }, calling);
}

async function change(
  { store, report }: Desk,
  action: Action,
  { input, calling }: { input: Input; calling: Calling },
): Promise<ChangedDead> {
  const { dryRun: isDryRun = false } = input;
  const ids = targets(input, calling);
  const apply = (some: readonly string[]) =>
    action === "retry" ? retryDead(store, some, calling) : removeDead(store, some, calling);
  if (ids !== undefined) {
    await requireDead(store, ids);
    if (isDryRun) return { dryRun: true, count: ids.length, ids };
    const changed = await changeOnly(ids, apply);
    return { dryRun: false, count: changed.ids.length, ...changed };
  }
  const selection = selectionOf(input);
  await requireNames(store, selection);
  const found = await countDead(store, selection);
  if (isDryRun) return { dryRun: true, count: found.count };
  const changed = await changeAll(store, { selection, found, apply, action, report });
  return { dryRun: false, count: changed.ids.length, duplicates: changed.duplicates };
}

/** All or nothing: if one id is not dead, none is changed. */
async function requireDead(store: Store, ids: readonly string[]): Promise<void> {
  const found = await whichAreDead(store, ids);
  const missing = ids.find((id) => !found.has(id));
  if (missing === undefined) return;
  const task = await findTask(store, missing);
  throw task === undefined ? noTask(missing) : inOtherState(missing, "dead letter", task.state);
}

function shownAs(
  action: Action,
  done: string,
): { json(changed: ChangedDead): unknown; text(changed: ChangedDead): string } {
  return {
    json: ({ duplicates, ...changed }) => ({
      action,
      ...changed,
      ...(action === "retry" && duplicates !== undefined && { duplicates }),
    }),
    text: ({ dryRun: isDryRun, count, duplicates = [], as }) =>
      `${isDryRun ? `would ${action}` : done} ${count} ${count === 1 ? "dead letter" : "dead letters"}${as === undefined ? "" : ` as task ${as}`}${duplicatesText(duplicates)}`,
  };
}
