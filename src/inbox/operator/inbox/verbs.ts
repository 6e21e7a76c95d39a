/** The noun `inbox`: lists events that wait or were set aside; stores them again, or discards them. */

import { PawlError } from "../../../base/errors.ts";
import { maskContent, shownRow } from "../../../base/mask-json.ts";
import { limit } from "../../../kernel/operator/fields.ts";
import { contentText } from "../../../kernel/operator/tasks/text.ts";
import { fields, iso, sections, table } from "../../../operate/table.ts";
import { type Desk, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required, typedBy, withDefault } from "../../../options/field.ts";
import { choice, name, numberId } from "../../../options/kinds.ts";
import { requireSource } from "../sources/find.ts";
import { type InboxRow, inboxEvents } from "../sql.ts";
import { remove, retry } from "./change.ts";
import type { Inbox } from "./inbox.ts";

const STATES = ["set_aside", "waiting"] as const;
const RAW_CHARS_MAX = 4_000;
const NUMBER = required(numberId("the event's number in the inbox"));

const list: Verb<Inbox["list"], Desk> = verb({
  help: "List events in the inbox, the oldest first",
  examples: [
    ["pawl inbox", "what was set aside"],
    ["pawl inbox list --source orders --state waiting", "what waits to be stored"],
  ],
  input: {
    source: name("only of this source"),
    state: withDefault("set_aside", choice(STATES, `one of ${STATES.join(", ")}`, "state")),
    limit: typedBy(limit(20), limit(100)),
  },
  isDefault: true,
  run: async ({ store }, filter) => {
    if (filter.source !== undefined) await requireSource(store, filter.source);
    return inboxEvents(store, filter);
  },
  json: (rows) => ({ events: rows.map(readable) }),
  text: (rows: InboxRow[]) =>
    table(rows, [
      { head: "NUMBER", value: (row) => row.number, align: "right" },
      { head: "SOURCE", value: (row) => row.source },
      { head: "EVENT", value: (row) => row.id },
      { head: "STATE", value: (row) => row.state },
      { head: "NAME", value: (row) => row.name },
      { head: "RECEIVED", value: (row) => iso(row.receivedAt) },
      { head: "ATTEMPTS", value: (row) => row.attempts, align: "right" },
      { head: "ERROR", value: (row) => row.error },
    ]),
});

const show: Verb<Inbox["show"], Desk> = verb({
  help: "Show an event with its payload or its bytes",
  examples: [["pawl inbox show 42", "and why it was set aside"]],
  input: { number: NUMBER },
  args: ["number"],
  absent: "inbox_event_not_found",
  run: async ({ store }, { number }) => {
    const [row] = await inboxEvents(store, { numbers: [number], limit: 1 });
    if (row !== undefined) return row;
    throw new PawlError(
      "inbox_event_not_found",
      `inbox ${number}: not there; it may have been stored or removed`,
      { data: { number } },
    );
  },
  json: (row) => ({ event: readable(row) }),
  text: eventText,
});

function eventText(row: InboxRow): string {
  return sections({
    "": fields({
      number: row.number,
      source: row.source,
      event: row.id,
      state: row.state,
      name: row.name,
      occurred: iso(row.occurredAt),
      received: iso(row.receivedAt),
      attempts: row.attempts,
      error: row.error,
    }),
    payload: row.payloadText === null ? undefined : contentText(row.payloadText),
    meta: row.metaText === null ? undefined : contentText(row.metaText),
    bytes: row.raw === null ? undefined : rawText(row.raw),
  });
}

/** Bytes are not JSON. */
function readable(row: InboxRow): Record<string, unknown> {
  const { raw } = row;
  return { ...shownRow(row), raw: raw === null ? null : shownBytes(raw).toString("base64") };
}

/** Returns the same bytes if nothing in them has to be hidden. */
function shownBytes(raw: Uint8Array): Buffer {
  const bytes = Buffer.from(raw);
  const text = bytes.toString("utf8");
  const masked = maskContent(text);
  return masked === text ? bytes : Buffer.from(masked);
}

function rawText(raw: Uint8Array): string {
  const bytes = shownBytes(raw);
  const text = bytes.subarray(0, RAW_CHARS_MAX).toString("utf8");
  const rest = bytes.length > RAW_CHARS_MAX ? ` … (${raw.length} bytes)` : "";
  return JSON.stringify(text) + rest;
}

export const inboxNoun: Noun<Inbox, Desk> = {
  name: "inbox",
  help: "See events that were set aside, and store them again",
  verbs: { list, show, retry, remove },
};
