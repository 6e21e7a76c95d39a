/** Why a command is in its status: one line for people, with what would change it. */

import { PawlError, shown } from "../../base/errors.ts";
import { didYouMean } from "../../base/suggest.ts";
import { dataText } from "../../base/text.ts";
import { offText, quietText } from "../../kernel/operator/held-text.ts";
import { type Why, whyTask } from "../../kernel/operator/why.ts";
import { iso } from "../../operate/table.ts";
import { nameAfter, type WhyTarget } from "../../operate/why.ts";
import type { Executor } from "../../store/executor.ts";
import { commandOfTask, type ListedCommand } from "../sql.ts";
import { commandsNow } from "./now.ts";
import { lastText, runText } from "./text.ts";

export interface WhyCommand {
  /** `name`, or `name:param`. */
  command: string;
  status: ListedCommand["status"];
  line: string;
}

/** @throws PawlError `command_not_found` */
async function whyCommand(executor: Executor, key: string): Promise<WhyCommand> {
  const row = commandIn(await commandsNow(executor), key);
  const { asked } = row;
  // a task that waits is explained by what it waits for
  const task = asked === null ? undefined : await whyTask(executor, asked.id);
  return { command: key, status: row.status, line: commandLine(row, task) };
}

export const WHY_COMMAND: WhyTarget<WhyCommand> = {
  what: "a command",
  id: "command:<key>",
  example: ["pawl why command:import:service1", "a command: what it does, or what holds it"],
  idOf: nameAfter("command"),
  why: whyCommand,
  text: ({ command, status, line }) => `command ${command} (${status}): ${line}`,
};

/** What the kernel cannot know of a command's task: a parameter of its own may be off. Undefined for other tasks. */
export async function whyCommandTask(executor: Executor, found: Why): Promise<Why | undefined> {
  const key = await commandOfTask(executor, found.id);
  if (key === undefined) return undefined;
  const subject = `task ${found.id} of command ${key}`;
  const waits = found.reasons.some((one) => one.reason === "scheduled" && !one.detail.isLate);
  const row = (await commandsNow(executor)).find((one) => one.key === key);
  if (!waits || row === undefined) return { ...found, subject };
  return { ...found, subject, line: `waits: ${commandLine(row)}` };
}

function commandIn(rows: readonly ListedCommand[], key: string): ListedCommand {
  const found = rows.find((row) => row.key === key);
  if (found !== undefined) return found;
  const keys = rows.flatMap((row) => (row.name === key ? row.key : []));
  const help =
    keys.length > 0
      ? `it has parameters: ask for one of ${keys.join(", ")}`
      : didYouMean(
          key,
          rows.map((row) => row.key),
        );
  throw new PawlError("command_not_found", `no command ${shown(key)} in this database; ${help}`, {
    data: { value: dataText(key) },
  });
}

function commandLine(row: ListedCommand, task?: Why): string {
  switch (row.status) {
    case "working":
      return workingText(row);
    case "locked":
      return `its run on ${row.run === null ? "an unknown host" : runText(row.run)} did not end; find out what it has done, then \`pawl locks release ${row.key} --why "..."\``;
    case "disabled":
      return offLine(row);
    case "quiet":
      return `${quietText(row.quiet)}; ${row.quiet.map(({ name }) => `\`pawl quiet force ${name}\` lets it start`).join(", ")}`;
    case "waiting":
      return `${askedText(row)}${task === undefined ? "" : `: ${task.line}`}`;
    case "failing":
      return `it can start; its last run failed${told(row.errors[0]?.message)}${lastLine(row)}`;
    case "idle":
      return `it can start, and nobody has asked for it${lastLine(row)}`;
    default:
      return row.status satisfies never;
  }
}

function workingText(row: ListedCommand): string {
  const { run, isOverrun, off, offHosts, key } = row;
  const since = run === null ? "" : ` since ${iso(run.startedAt)}: ${runText(run)}`;
  const long = isOverrun ? `; it takes longer than expected, \`pawl locks release ${key}\`` : "";
  const draining =
    off.length + offHosts.length > 0 ? `; this run is its last: ${offLine(row)}` : "";
  return `it runs${since}${long}${draining}`;
}

function offLine({ off, offHosts }: ListedCommand): string {
  const switches = off.map((one) => `${offText([one])}; \`pawl on ${one.scope}\``);
  const hosts = offHosts.map(
    (host) => `a file or PAWL_OFF holds it on host ${host}; take it away there`,
  );
  return [...switches, ...hosts].join("; ");
}

function askedText({ asked }: ListedCommand): string {
  return asked === null
    ? "a worker was asked to run it"
    : `asked for by ${asked.by} at ${iso(asked.since)} by task ${asked.id}`;
}

function lastLine({ last }: ListedCommand): string {
  return last === null ? "" : `; last run: ${lastText(last)}`;
}

function told(text: string | null | undefined): string {
  return text ? ` (${text})` : "";
}
