/** The nouns `commands` and `locks`: what the commands do, and the locks of those that work or whose process died. */

import { showDuration } from "../../base/duration.ts";
import { PawlError } from "../../base/errors.ts";
import { limit } from "../../kernel/operator/fields.ts";
import { iso } from "../../operate/table.ts";
import { type Desk, listing, type Noun, type Verb, verb } from "../../operate/verb.ts";
import { required } from "../../options/field.ts";
import { flag, name } from "../../options/kinds.ts";
import {
  type CommandRunRow,
  commandRuns,
  type ListedCommand,
  type LockRow,
  locks,
  releaseLock,
} from "../sql.ts";
import type { Commands, CommandsDesk, Locks } from "./commands.ts";
import { commandsNow } from "./now.ts";
import { run, start } from "./run-verb.ts";
import { COMMAND_COLUMNS } from "./text.ts";

const list: Verb<Commands["list"], Desk> = verb({
  help: "List the commands with their statuses",
  more: `Statuses:
  WORKING   it runs; DRAINING: it is off, and this run is its last
  IDLE      it can start
  FAILING   it can start, and its last run failed
  DISABLED  it is off, and does not run
  QUIET     quiet hours hold it, or a run could last into them
  WAITING   a worker was asked to run it, and none has taken it yet
  LOCKED    its process died, and its lock is held until somebody releases it`,
  examples: [
    ["pawl commands list", "what works, since when, and what is off"],
    ["pawl commands list --stopped", "exit code 0 says that all are disabled or locked"],
  ],
  input: { stopped: flag("exit with 1 unless every command is disabled or locked") },
  isTolerant: true,
  isDefault: true,
  run: ({ store }: Desk) => commandsNow(store),
  ...listing<ListedCommand>("commands", COMMAND_COLUMNS),
  failure: (rows, { stopped }) => (stopped === true ? notStopped(rows) : undefined),
});

function notStopped(rows: readonly ListedCommand[]): PawlError | undefined {
  const left = rows.filter(({ status }) => status !== "disabled" && status !== "locked");
  if (left.length === 0) return undefined;
  const named = left.map(({ key, status }) => `${key} is ${status}`).join(", ");
  return new PawlError("not_stopped", `commands: not all are stopped: ${named}`, {
    data: { commands: left.map(({ key, status }) => ({ key, status })) },
  });
}

const runs: Verb<Commands["runs"], Desk> = verb({
  help: "List the runs of commands, the latest first",
  examples: [["pawl commands runs import:service1", "when it ran, how long, and with what error"]],
  input: { command: name("only of this command, or of one of its parameters"), limit: limit() },
  typedArgs: ["command"],
  isTolerant: true,
  run: ({ store }: Desk, { command, limit: max }) => commandRuns(store, { command, limit: max }),
  ...listing<CommandRunRow>("runs", [
    { head: "ID", value: (row) => row.id, align: "right" },
    { head: "COMMAND", value: (row) => row.key },
    { head: "OUTCOME", value: (row) => row.outcome },
    { head: "STARTED", value: (row) => iso(row.startedAt) },
    { head: "TOOK", value: (row) => showDuration(row.durationMs), align: "right" },
    { head: "HOST", value: (row) => row.host },
    { head: "BY", value: (row) => row.by },
    { head: "PROGRESS", value: (row) => row.progress },
    { head: "ERROR", value: (row) => row.error?.message },
  ]),
});

export const commandsNoun: Noun<Commands, CommandsDesk> = {
  name: "commands",
  help: "Look at commands, and run one",
  verbs: { list, runs, run, start },
};

const listLocks: Verb<Locks["list"], Desk> = verb({
  help: "List the locks of commands that work, or whose process died",
  examples: [["pawl locks list", "who has them, and since when"]],
  input: {},
  isTolerant: true,
  isDefault: true,
  run: ({ store }: Desk) => locks(store),
  ...listing<LockRow>("locks", [
    { head: "LOCK", value: (row) => row.key },
    { head: "STATE", value: (row) => row.state.toUpperCase() },
    { head: "HOST", value: (row) => row.host },
    { head: "PID", value: (row) => row.pid, align: "right" },
    { head: "BY", value: (row) => row.by },
    { head: "SINCE", value: (row) => iso(row.since) },
    { head: "HEARD", value: (row) => iso(row.heardAt) },
    { head: "EPOCH", value: (row) => row.epoch, align: "right" },
  ]),
});

const release: Verb<Locks["release"], Desk> = verb({
  help: "Release the lock of a command, so that it can start again",
  more: `If its process still runs, it hears of it within seconds, and nothing that it does under the lock
counts any more. What it does elsewhere nobody can stop from here: end it first, where you can.`,
  examples: [
    [
      'pawl locks release get-orders --why "looked: nothing was left half done"',
      "after its process died",
    ],
  ],
  input: { key: required(name("the command, or command:param", "key")) },
  args: ["key"],
  changes: true,
  isWhyRequired: true,
  confirm: async (base, { key }) => {
    const found = (await locks((await base()).store)).find((row) => row.key === key);
    if (found?.state !== "working") return undefined;
    return {
      text: `${key} works on host ${found.host} (pid ${found.pid}) since ${iso(found.since)}: after the release a second run may start beside it; end that process first, or add --yes`,
      data: { key, host: found.host, pid: found.pid },
    };
  },
  run: ({ store }: Desk, { key }, act) => releaseLock(store, { ...act, key }),
  text: ({ key, state, host, pid }) =>
    `${key}: released; it was ${state === "working" ? "held by" : "left by"} host ${host} (pid ${pid})`,
});

export const locksNoun: Noun<Locks, Desk> = {
  name: "locks",
  help: "Look at the locks of commands, and release one",
  verbs: { list: listLocks, release },
};
