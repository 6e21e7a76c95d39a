/** `pawl help <command>` and `pawl help <noun> <verb>`: they print the same as `--help`. */

import type { Command } from "commander";
import { command } from "./command.ts";
import { noSuchVerb } from "./usage.ts";

export function helpCommand(root: Command): Command {
  const made = command("help [command...]", "Explain a command", [
    ["pawl help work", "as `pawl work --help`"],
    ["pawl help sources rewind", "as `pawl sources rewind --help`"],
  ]);
  return made.action((names: string[]) => {
    let found = root;
    for (const name of names) {
      const next = found.commands.find((one) => one.name() === name);
      if (next === undefined) throw noSuchVerb(found, name);
      found = next;
    }
    found.outputHelp();
  });
}
