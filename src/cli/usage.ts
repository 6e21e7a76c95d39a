/** Turns errors of the command line's parser into Pawl's own: the value, the nearest known one, where to find help. */

import type { Command, CommanderError } from "commander";
import { PawlError } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";

export function usageError(error: CommanderError, command: Command): PawlError {
  const noun = nounOf(error, command);
  if (noun !== undefined) return noSuchVerb(noun, noun.args[0] ?? "");
  const path = pathOf(command);
  const subject = command.parent === null ? "" : `${path}: `;
  const named = /'([^']*)'/.exec(error.message)?.[1] ?? "";
  const help = `see \`${path} --help\``;
  const data = { command: path, ...(named !== "" && { value: named }) };
  const verbs = command.commands.map((one) => one.name());
  if (error.code === "commander.unknownCommand") return noSuchVerb(command, named);
  if (error.code === "commander.help") {
    return new PawlError(
      "unknown_command",
      `${subject}expected a command: ${verbs.join(", ")}; ${help}`,
      { data },
    );
  }
  if (error.code === "commander.unknownOption") {
    const near = hint(named, flagsOf(command));
    return new PawlError("invalid_option", `${subject}no option ${named}; ${near} ${help}`, {
      data: { ...data, option: named },
    });
  }
  const what = error.message.replace(/^error: /, "").replaceAll("\n", " ");
  return new PawlError("invalid_option", `${subject}${what}; ${help}`, { data });
}

/** `pawl sources retyr orders`: the noun's default verb took the misspelt verb for an argument. */
function nounOf({ code }: CommanderError, command: Command): Command | undefined {
  const { parent } = command;
  if (code !== "commander.excessArguments" || parent === null || parent.parent === null)
    return undefined;
  const [typed = ""] = parent.args;
  // a flag may come first
  return typed === command.name() || typed.startsWith("-") ? undefined : parent;
}

export function noSuchVerb(command: Command, typed: string): PawlError {
  const path = pathOf(command);
  const subject = command.parent === null ? "" : `${path}: `;
  const near = hint(
    typed,
    command.commands.map((one) => one.name()),
  );
  return new PawlError(
    "unknown_command",
    `${subject}no command "${typed}"; ${near} see \`${path} --help\``,
    {
      data: { command: path, ...(typed !== "" && { value: typed }) },
    },
  );
}

/** "did you mean …?" keeps its question mark; a list of names gets a `;`. */
function hint(typed: string, known: readonly string[]): string {
  const near = didYouMean(typed, known);
  return near.endsWith("?") ? near : `${near};`;
}

function pathOf(command: Command): string {
  const parent = command.parent === null ? "" : `${pathOf(command.parent)} `;
  return `${parent}${command.name()}`;
}

function flagsOf(command: Command): string[] {
  const own = command.options.flatMap((option) => option.long ?? []);
  const above = command.parent === null ? ["--help"] : flagsOf(command.parent);
  return [...own, ...above];
}
