/** Destinations, their types and the test of one, as text for people. */

import { showDuration } from "../../../base/duration.ts";
import { shown } from "../../../base/errors.ts";
import { fields, iso, sections, table } from "../../../operate/table.ts";
import type { ConfigField, FieldKind } from "../../destinations/fields.ts";
import type { DestinationType } from "../../destinations/types.ts";
import type { SeenExchange } from "./captured-http.ts";
import type { DestinationInfo } from "./describe.ts";
import type { TestResult } from "./test-delivery.ts";

/** Deeper than this nobody reads. */
const DEPTH_SHOWN_MAX = 40;

const WRITTEN: Record<FieldKind, string> = {
  text: "text",
  url: "https://host/path",
  secret: "env:NAME, file:/path or text",
  secrets: "env:NAME, file:/path or text",
  number: "number",
  boolean: "true or false",
  duration: "10s, 1h30m",
  choice: "",
  map: "parts: <field>.<name>=value",
  list: "a,b,c",
  retry: '"10x 60s x2 max 12h" or "1s,10s,1m"',
  rate: "50/s, 1000/m",
  breaker: "on, off, or parts: <field>.failures=5",
};

const STATES: Partial<Record<DestinationInfo["state"], string>> = {
  open: "breaker open",
  probing: "breaker open, the next delivery is a probe",
};

export function listText(rows: readonly DestinationInfo[]): string {
  return table(rows, [
    { head: "NAME", value: (row) => row.name },
    { head: "TYPE", value: (row) => row.type },
    { head: "OWNER", value: (row) => row.owner },
    { head: "STATE", value: stateText },
    { head: "WAITING", value: (row) => about(row, row.waiting), align: "right" },
    { head: "RUNNING", value: (row) => row.running, align: "right" },
    { head: "DEAD", value: (row) => about(row, row.dead), align: "right" },
    { head: "OLDEST", value: (row) => age(row.oldestMs), align: "right" },
  ]);
}

function about({ isEstimate }: DestinationInfo, count: number): string {
  return `${isEstimate && count > 10_000 ? "~" : ""}${count}`;
}

function age(ms: number | null): string | null {
  return ms === null ? null : showDuration(ms);
}

function stateText({ state, until, offHosts }: DestinationInfo): string {
  const what = STATES[state] ?? state;
  const fleet = until === null ? what : `${what} until ${iso(until)}`;
  return [fleet, ...offHosts.map((host) => `off on host ${host}`)].join("; ");
}

export function showText(row: DestinationInfo): string {
  const config = Object.entries(row.config).map(
    ([name, value]) => [name, valueText(value)] as const,
  );
  return sections({
    "": fields({
      name: row.name,
      id: row.id,
      type: row.type,
      owner: row.owner,
      state: stateText(row),
      because: row.reason,
      order: row.order,
      timeout: row.timeoutMs === null ? null : showDuration(row.timeoutMs),
      waiting: about(row, row.waiting),
      running: row.running,
      dead: about(row, row.dead),
      oldest: age(row.oldestMs),
      defined: iso(row.definedAt),
    }),
    config: config.length === 0 ? undefined : fields(Object.fromEntries(config)),
  });
}

function valueText(value: unknown, depth = 0): string {
  if (depth > DEPTH_SHOWN_MAX) return shown(value);
  if (Array.isArray(value)) return value.map((one) => valueText(one, depth + 1)).join(", ");
  if (value === false) return "off";
  if (value === null || typeof value !== "object") return String(value);
  const { secret, until } = value as { secret?: unknown; until?: unknown };
  if (typeof secret === "string" && typeof until === "string") return `${secret} (until ${until})`;
  return Object.entries(value)
    .map(([name, one]) => `${name} ${valueText(one, depth + 1)}`)
    .join(", ");
}

export function typesText(types: readonly DestinationType[]): string {
  return table(types, [
    { head: "TYPE", value: (row) => row.type },
    { head: "WHAT", value: (row) => row.label },
    { head: "FIELDS", value: (row) => Object.keys(row.fields).join(", ") },
  ]);
}

export function typeText({ type, label, fields: all }: DestinationType): string {
  const rows = Object.entries(all);
  const list = table(rows, [
    { head: "FIELD", value: ([name]) => name },
    { head: "NEEDED", value: ([, field]) => (field.required === true ? "yes" : "no") },
    { head: "WRITTEN AS", value: ([name, field]) => writtenText(name, field) },
    {
      head: "DEFAULT",
      value: ([, field]) => (field.default === undefined ? null : valueText(field.default)),
    },
    {
      head: "WHAT",
      value: ([, { label: what, help }]) => (help === undefined ? what : `${what}: ${help}`),
    },
  ]);
  return `${type}: ${label}\n\n${list}`;
}

function writtenText(name: string, { kind, choices, min, max }: ConfigField): string {
  if (choices !== undefined) return choices.join(" | ");
  if (kind === "number" && min !== undefined && max !== undefined) return `${min} to ${max}`;
  return (WRITTEN[kind] ?? kind).replaceAll("<field>", name);
}

export function testText(result: TestResult): string {
  const { destination, accepted, summary, error, isRolledBack } = result;
  const verdict = accepted
    ? `${destination} accepted the event${summary === null ? "" : `: ${summary}`}`
    : `${destination} did not accept the event: ${error?.message ?? ""}`;
  const undone = isRolledBack ? "\nwhat it wrote to the database was rolled back" : "";
  return sections({
    "": result.exchanges.map(exchangeText).join("\n\n"),
    result: verdict + undone,
  });
}

function exchangeText({ request, answer }: SeenExchange): string {
  const sent = [`${request.method} ${request.url}`, headerLines(request.headers), "", request.body];
  if (answer === null) return sent.join("\n");
  const { firstByteMs, totalMs, ...rest } = answer.timings;
  const timings = Object.entries({ ...rest, firstByteMs, totalMs })
    .map(([name, ms]) => `${name.replace(/Ms$/, "")} ${ms} ms`)
    .join(", ");
  const cut = answer.truncated ? "\n… (cut)" : "";
  const got = [`${answer.status} (${timings})`, headerLines(answer.headers), "", answer.body + cut];
  return [...sent, "", ...got].join("\n").trimEnd();
}

function headerLines(headers: Record<string, string>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");
}

/** `stored`, never the secret; for the line that says what was done. */
export function changedText(
  what: string,
  { name, notes = [] }: { name: string; notes?: readonly string[] },
): string {
  const lines = [`destination ${shown(name)}: ${what}`, ...notes.map((note) => `note: ${note}`)];
  return lines.join("\n");
}
