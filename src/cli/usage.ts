/** What the parser of the command line refuses, said in Pawl's own way: the value, what is near it, where help is. */

import type { Command, CommanderError } from "commander";
import { PawlError } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";

export function usageError(error: CommanderError, command: Command): PawlError {
  const path = pathOf(command);
  const subject = command.parent === null ? "" : `${path}: `;
  const named = /'([^']*)'/.exec(error.message)?.[1] ?? "";
  const help = `see \`${path} --help\``;
  const data = { command: path, ...(named !== "" && { value: named }) };
  const verbs = command.commands.map((one) => one.name());
  if (error.code === "commander.unknownCommand") {
    const near = didYouMean(named, verbs);
    return new PawlError("unknown_command", `${subject}no command "${named}"; ${near} ${help}`, {
      data,
    });
  }
  if (error.code === "commander.help") {
    return new PawlError(
      "unknown_command",
      `${subject}expected a command: ${verbs.join(", ")}; ${help}`,
      { data },
    );
  }
  if (error.code === "commander.unknownOption") {
    const near = didYouMean(named, flagsOf(command));
    return new PawlError("invalid_option", `${subject}no option ${named}; ${near} ${help}`, {
      data: { ...data, option: named },
    });
  }
  const what = error.message.replace(/^error: /, "").replaceAll("\n", " ");
  return new PawlError("invalid_option", `${subject}${what}; ${help}`, { data });
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
