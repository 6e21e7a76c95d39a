/** `pawl inbox`: events that were set aside, looked at, stored again or given up. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import { changeInbox, checkInboxChange, requireSource } from "../inbox/people/act.ts";
import { type InboxRow, inboxEvents } from "../inbox/people/sql.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import type { Store } from "../store/store.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import type { Answer } from "./output.ts";
import { fields, iso, sections, table } from "./table.ts";
import { oneOf, taskId, wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 20;
const LIMIT_MAX = 10_000;
const ALL_MAX = 100_000;
const STATES = ["set_aside", "waiting"] as const;
const RAW_CHARS_MAX = 4_000;

export function inboxCommand(): Command {
  return command("inbox", "See events that were set aside, and store them again")
    .addCommand(list(), { isDefault: true })
    .addCommand(show())
    .addCommand(retry())
    .addCommand(remove());
}

interface ListOptions {
  source?: string;
  state: (typeof STATES)[number];
  limit: number;
}

function list(): Command {
  const made = command("list", "List events in the inbox, the oldest first", [
    ["pawl inbox", "what was set aside"],
    ["pawl inbox list --source orders --state waiting", "what waits to be stored"],
  ])
    .option("--source <name>", "only of this source")
    .option("--state <state>", `one of ${STATES.join(", ")}`, oneOf("--state", STATES), "set_aside")
    .option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT);
  return does<ListOptions>(made, (call, options) =>
    withStore(call, async (store) => {
      if (options.source !== undefined) await requireSource(store, options.source);
      const rows = await inboxEvents(store, options);
      const text = table(rows, [
        { head: "NUMBER", value: (row) => row.number, align: "right" },
        { head: "SOURCE", value: (row) => row.source },
        { head: "EVENT", value: (row) => row.id },
        { head: "STATE", value: (row) => row.state },
        { head: "NAME", value: (row) => row.name },
        { head: "RECEIVED", value: (row) => iso(row.received_at) },
        { head: "ATTEMPTS", value: (row) => row.attempts, align: "right" },
        { head: "ERROR", value: (row) => row.error },
      ]);
      return { json: { events: rows.map(readable) }, text };
    }),
  );
}

function show(): Command {
  const made = command("show <number>", "Show an event with its payload or its bytes", [
    ["pawl inbox show 42", "and why it was set aside"],
  ]);
  return does(made, (call) =>
    withStore(call, async (store) => {
      const number = taskId(call.args[0] ?? "");
      const [row] = await inboxEvents(store, { numbers: [number], limit: 1 });
      if (row === undefined) {
        throw new PawlError(
          "inbox_event_not_found",
          `inbox ${number}: not there; it may have been stored or removed`,
          { data: { number } },
        );
      }
      const text = sections({
        "": fields({
          number: row.number,
          source: row.source,
          event: row.id,
          state: row.state,
          name: row.name,
          occurred: iso(row.occurred_at),
          received: iso(row.received_at),
          attempts: row.attempts,
          error: row.error,
        }),
        payload: row.payload === null ? undefined : JSON.stringify(row.payload, null, 2),
        meta: row.meta === null ? undefined : JSON.stringify(row.meta, null, 2),
        bytes: row.raw === null ? undefined : rawText(row.raw),
      });
      return { json: { event: readable(row) }, text };
    }),
  );
}

/** Bytes are no JSON. */
function readable({ raw, ...row }: InboxRow): Omit<InboxRow, "raw"> & { raw: string | null } {
  return { ...row, raw: raw === null ? null : Buffer.from(raw).toString("base64") };
}

function rawText(raw: Uint8Array): string {
  const text = Buffer.from(raw.subarray(0, RAW_CHARS_MAX)).toString("utf8");
  const rest = raw.length > RAW_CHARS_MAX ? ` … (${raw.length} bytes)` : "";
  return JSON.stringify(text) + rest;
}

interface ChangeOptions extends Act {
  source?: string;
  all?: boolean;
  dryRun?: boolean;
}

function retry(): Command {
  return changing("retry", "Store events again that were set aside", [
    ["pawl inbox retry 42 43", "these two; neither, unless both are set aside"],
    ["pawl inbox retry --all --source orders", "after a fix"],
  ]);
}

function remove(): Command {
  return changing("remove", "Give events up that were set aside", [
    ['pawl inbox remove 42 --why "a test event"', "its id and the reason stay in the audit"],
    ['pawl inbox remove --all --why "test events" --dry-run', "how many that would be"],
  ]);
}

function changing(
  verb: "retry" | "remove",
  description: string,
  examples: readonly (readonly [string, string])[],
): Command {
  const made = command(`${verb} [numbers...]`, description, examples)
    .option("--all", "all that were set aside")
    .option("--source <name>", "with --all: only of this source")
    .option("--dry-run", "say what would happen, change nothing");
  const acting = withAct(made, { isWhyRequired: verb === "remove" });
  return does<ChangeOptions>(acting, (call, options) => {
    const { all = false, dryRun = false, source } = options;
    const given = [...new Set(call.args.map(taskId))];
    if (all === given.length > 0 || (!all && source !== undefined)) {
      throw new PawlError(
        "invalid_option",
        `pawl inbox ${verb}: expected numbers, or --all with or without --source; see \`pawl inbox ${verb} --help\``,
      );
    }
    return withStore(call, async (store) => {
      const numbers = all ? await setAside(store, source) : given;
      if (dryRun) {
        await checkInboxChange(store, verb, numbers, options);
        return did(verb, numbers, { dryRun, all });
      }
      return did(verb, await changeInbox(store, verb, numbers, actOf(options)), { dryRun, all });
    });
  });
}

function did(
  verb: "retry" | "remove",
  numbers: readonly string[],
  { dryRun, all }: { dryRun: boolean; all: boolean },
): Answer {
  const events = `${numbers.length} ${numbers.length === 1 ? "event" : "events"}`;
  const done = verb === "retry" ? `${events} to be stored again` : `removed ${events}`;
  return {
    json: { action: verb, dryRun, count: numbers.length, ...(!all && { numbers }) },
    text: dryRun ? `would ${verb} ${events}` : done,
  };
}

async function setAside(store: Store, source: string | undefined): Promise<string[]> {
  if (source !== undefined) await requireSource(store, source);
  return (await inboxEvents(store, { source, limit: ALL_MAX })).map((row) => row.number);
}
