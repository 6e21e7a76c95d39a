/** `pawl sources pause`, `resume`, `retry`, `release`, `skip` and `rewind`: what a person decides about a source. */

import type { Command } from "commander";
import { refuseUnconfirmed } from "../app/sources.ts";
import { changeSource } from "../inbox/people/act.ts";
import type { SourceVerb } from "../inbox/people/sql.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import { actOf, withAct } from "./act.ts";
import { type Call, command, does, withStore } from "./command.ts";
import type { Answer } from "./output.ts";

interface Options extends Act {
  to?: string;
  fetch?: boolean;
  confirm?: string;
}

export function pause(): Command {
  return plain(
    "pause",
    "Ask it for nothing more; what was received is stored",
    "no request begins any more",
  );
}

export function resume(): Command {
  return plain("resume", "Let a paused source go on", "it goes on");
}

export function retry(): Command {
  const made = command("retry <name>", "Go on with the window that is held", [
    ["pawl sources retry orders", "parse the page that is kept, or ask again where none is"],
    ["pawl sources retry orders --fetch", "ask again, whatever is kept"],
  ]).option("--fetch", "ask again, even where the page is kept");
  return acting(made, "retry", "its window is tried again");
}

export function release(): Command {
  const made = command(
    "release <name>",
    "Give the held window up, with its page; the same cursor is asked anew",
    [['pawl sources release orders --why "nothing was executed"', "a new window is reserved"]],
  );
  return acting(made, "release", "its window was given up, a new one is reserved");
}

export function skip(): Command {
  const made = command("skip <name>", "Go on behind the held window; its events are left out", [
    ['pawl sources skip orders --to 2000 --why "they sent nonsense"', "on from 2000"],
  ]).option("--to <cursor>", "go on behind this cursor (default: the one that the page named)");
  return acting(made, "skip", "it goes on behind the window");
}

export function rewind(): Command {
  const made = command(
    "rewind <name>",
    "Go back: events are asked for again, those stored are dropped",
    [
      [
        'pawl sources rewind orders --to 1000 --confirm orders --why "some were missing"',
        "on behind 1000",
      ],
    ],
  )
    .requiredOption("--to <cursor>", "the cursor to go back to")
    .option("--confirm <name>", "the name of the source once more; required");
  return acting(made, "rewind", "it went back");
}

function plain(verb: SourceVerb, description: string, said: string): Command {
  const made = command(`${verb} <name>`, description, [[`pawl sources ${verb} orders`, said]]);
  return acting(made, verb, said);
}

function acting(made: Command, verb: SourceVerb, said: string): Command {
  const isWhyRequired = verb === "skip" || verb === "rewind";
  return does<Options>(withAct(made, { isWhyRequired }), (call, options) =>
    act(call, { verb, said, options }),
  );
}

async function act(
  call: Call,
  { verb, said, options }: { verb: SourceVerb; said: string; options: Options },
): Promise<Answer> {
  const name = call.args[0] ?? "";
  const { to, fetch } = options;
  if (verb === "rewind") refuseUnconfirmed(name, options.confirm);
  return withStore(call, async (store) => {
    const acted = await changeSource(
      store,
      { name, verb, ...(to !== undefined && { to }), ...(fetch !== undefined && { fetch }) },
      actOf(options),
    );
    const { from_cursor: from, to_cursor: next, window_id: window } = acted;
    const where = from === next ? `behind ${JSON.stringify(from)}` : `from ${from} to ${next}`;
    return {
      json: { action: verb, source: name, from, to: next, window },
      text: `source ${name}: ${said}, ${where}`,
    };
  });
}
