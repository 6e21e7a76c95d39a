/** The verb `run`: runs a command in this process. */

import { showDuration } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import { didYouMean } from "../../base/suggest.ts";
import { dataText } from "../../base/text.ts";
import { type Calling, type Desk, type Verb, verb } from "../../operate/verb.ts";
import { field, required } from "../../options/field.ts";
import { name } from "../../options/kinds.ts";
import { type Command, commandKey } from "../define-command.ts";
import { refuseOffHere } from "../off-here.ts";
import { type RanCommand, runCommand } from "../run.ts";
import { askForCommand, commandKeys } from "../sql.ts";
import type { AskedRun, Commands, CommandsDesk } from "./commands.ts";

const MORE = `Exit codes here:
  0  it ran, and ended well
  1  it failed; or it did not start, because it runs already, is off or quiet, or its lock is held
  2  the parameter is missing, or not one of its parameters
  3  the app has no such command`;

const PARAM = field<string | number>({
  kind: "param",
  help: "one of its parameters",
  shape: "param",
  expected: "a text or a number",
  read: (given) => {
    const isParam = (typeof given === "string" && given !== "") || Number.isFinite(given);
    return isParam ? (given as string | number) : undefined;
  },
});

export const run: Verb<Commands["run"], CommandsDesk> = verb({
  help: "Run a command of the app now, in this process",
  more: MORE,
  examples: [
    ["pawl commands run get-orders", "refused while it runs anywhere"],
    ["pawl commands run import service1", "beside the runs of its other parameters"],
  ],
  input: { name: required(name("the command")), param: PARAM },
  args: ["name"],
  typedArgs: ["name", "param"],
  needsApp: true,
  changes: true,
  run: (desk: CommandsDesk, { name: named, param }, act) =>
    desk.stoppable((stop) => runHere(desk, { named, param }, { stop, act })),
  text: ({ key, durationMs }) => `${key}: done in ${showDuration(durationMs)}`,
});

export const start: Verb<Commands["start"], Desk> = verb({
  help: "Ask a worker to run a command",
  more: `It is a task of the queue "commands", which a worker runs whose app defines the command. Until then the list says
WAITING FOR A WORKER. If the command runs already when a worker takes the task, the task ends as refused.`,
  examples: [
    [
      "pawl commands start import service1",
      "on a worker; what becomes of it: pawl tasks show <id>",
    ],
  ],
  input: { name: required(name("the command")), param: PARAM },
  args: ["name"],
  typedArgs: ["name", "param"],
  isTolerant: true,
  changes: true,
  run: async ({ store }: Desk, { name: of, param }, act): Promise<AskedRun> => {
    const key = commandKey(of, param);
    const keys = (await commandKeys(store)).map((row) => row.key);
    if (!keys.includes(key)) throw noCommand(`${act.where}: no command ${shown(key)}`, key, keys);
    const text = param === undefined ? null : String(param);
    const asked = await askForCommand(store, { ...act, name: of, param: text });
    return { ...asked, key };
  },
  text: ({ key, id, outcome }) =>
    outcome === "created"
      ? `${key}: a worker is asked to run it, by task ${id}`
      : `${key}: was asked for before, by task ${id}`,
});

async function runHere(
  desk: CommandsDesk,
  { named, param: given }: { named: string; param?: string | number | undefined },
  { stop, act }: { stop: Promise<void>; act: Calling },
): Promise<RanCommand> {
  const command = commandOf(desk, named, act);
  const param = paramOf(command, given, act);
  const { store, log, writes, app } = desk;
  await refuseOffHere(command.name, commandKey(command.name, param), app?.groups ?? {});
  await desk.registered();
  return runCommand({ store, log, writes, command, param, act, stop });
}

/** @throws PawlError `command_not_found` */
function commandOf({ app }: CommandsDesk, named: string, { where }: Calling): Command {
  const commands = app?.commands ?? [];
  const found = commands.find((one) => one.name === named);
  if (found !== undefined) return found;
  const names = commands.map((one) => one.name);
  throw noCommand(`${where}: no command ${shown(named)} in app "${app?.name ?? ""}"`, named, names);
}

function noCommand(what: string, named: string, known: readonly string[]): PawlError {
  return new PawlError("command_not_found", `${what}; ${didYouMean(named, known)}`, {
    data: { value: dataText(named) },
  });
}

/** As it stands in `params`: what is typed is a text. @throws PawlError `invalid_option` */
function paramOf(
  { name: of, params }: Command,
  given: string | number | undefined,
  { where }: Calling,
): string | number | undefined {
  if (given === undefined && params.length === 0) return undefined;
  const found = params.find((one) => String(one) === String(given));
  if (given !== undefined && found !== undefined) return found;
  const one = params.length === 0 ? "left out: it takes none" : `one of ${params.join(", ")}`;
  const got = given === undefined ? "none" : shown(given);
  throw new PawlError(
    "invalid_option",
    `${where}, command "${of}": expected its parameter to be ${one}, got ${got}`,
    { data: { option: "param", value: dataText(given) } },
  );
}
