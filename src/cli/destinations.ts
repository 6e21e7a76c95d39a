/** `pawl destinations`: where events go. Operators add, change, test, pause and remove them here, without writing JSON. */

import type { Command } from "commander";
import type { DestinationType } from "../outbox/destinations/types.ts";
import { requireDestination, requireType } from "../outbox/operators/base.ts";
import { describe } from "../outbox/operators/describe.ts";
import { command, does } from "./command.ts";
import { knownTypes, withOperators } from "./destinations-base.ts";
import { addCommand, editCommand, removeCommand, rotateCommand } from "./destinations-change.ts";
import { pauseCommand, resumeCommand } from "./destinations-pause.ts";
import { testCommand } from "./destinations-test.ts";
import { listText, showText, typesText, typeText } from "./destinations-text.ts";

export function destinationsCommand(): Command {
  return command("destinations", "Look at destinations, add, change, test, pause and remove them")
    .addCommand(list())
    .addCommand(show())
    .addCommand(types())
    .addCommand(addCommand())
    .addCommand(editCommand())
    .addCommand(testCommand())
    .addCommand(pauseCommand())
    .addCommand(resumeCommand())
    .addCommand(rotateCommand())
    .addCommand(removeCommand());
}

function list(): Command {
  const made = command("list", "List destinations: whose they are, what holds them, what waits", [
    ["pawl destinations list", "those of the code and those that operators added"],
  ]);
  return does(made, (call) =>
    withOperators(call, async (base) => {
      const destinations = await describe(base, base.store);
      return { json: { destinations }, text: listText(destinations) };
    }),
  );
}

function show(): Command {
  const made = command("show <name>", "Show a destination with its config, secrets masked", [
    ["pawl destinations show erp", "URL, headers, limits, and why it is not on"],
  ]);
  return does(made, (call) =>
    withOperators(call, async (base) => {
      const { name } = await requireDestination(base.store, call.args[0] ?? "");
      const [destination] = await describe(base, base.store, name);
      return {
        json: { destination },
        text: destination === undefined ? "removed" : showText(destination),
      };
    }),
  );
}

function types(): Command {
  const made = command("types [type]", "List the types of destinations, or the fields of one", [
    ["pawl destinations types", "Pawl's, and those of the app"],
    ["pawl destinations types webhook", "what `--set` can set"],
  ]);
  return does(made, async (call) => {
    const [name] = call.args;
    const known = await knownTypes(call);
    if (name === undefined) return { json: { types: known.map(typeJson) }, text: typesText(known) };
    const type = requireType(known, name);
    return { json: { type: typeJson(type) }, text: typeText(type) };
  });
}

function typeJson({ type, label, fields }: DestinationType): object {
  return { type, label, fields };
}
