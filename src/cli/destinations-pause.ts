/** `pawl destinations pause` and `resume`: whoever owns the destination. */

import type { Command } from "commander";
import type { Act } from "../kernel/people/audit/sql.ts";
import { requireDestination } from "../outbox/operators/base.ts";
import { pause, resume } from "../outbox/operators/destinations.ts";
import { queueOfDestination } from "../outbox/routes.ts";
import { actOf, withAct } from "./act.ts";
import { command, does } from "./command.ts";
import { withOperators } from "./destinations-base.ts";
import { changedText } from "./destinations-text.ts";
import { untilStopped } from "./drain.ts";
import { type OffCall, withOffOptions } from "./off.ts";

export function pauseCommand(): Command {
  const made = command(
    "pause <name>",
    "Turn a destination off: what comes for it is held, or dropped",
    [
      ['pawl destinations pause erp --why "erp down" --until 30m', "held, and on again by itself"],
      ["pawl destinations pause erp --drop", "what waits is cancelled, what comes goes nowhere"],
    ],
  ).option("--drop", "keep nothing for it");
  return does<OffCall & { drop?: boolean }>(withOffOptions(made), (call, options) =>
    withOperators(call, async (base) => {
      const name = call.args[0] ?? "";
      const { drop = false, wait = false, until } = options;
      const { cancelled } = await pause(base, name, { drop, ...until, ...actOf(options) });
      if (wait) await untilStopped(base.store, `queue:${queueOfDestination(name)}`);
      const what = drop ? `off, dropping; ${cancelled} deliveries cancelled` : "off, holding";
      return {
        json: { action: "pause", destination: name, drop, cancelled },
        text: changedText(what, { name, notes: [] }),
      };
    }),
  );
}

export function resumeCommand(): Command {
  const made = command("resume <name>", "Turn a destination on again; its breaker is closed too", [
    ["pawl destinations resume erp", "what was held goes out"],
  ]);
  return does<Act>(withAct(made), (call, options) =>
    withOperators(call, async (base) => {
      const { name } = await requireDestination(base.store, call.args[0] ?? "");
      const wasOff = await resume(base, name, actOf(options));
      return {
        json: { action: "resume", destination: name, wasOff },
        text: changedText(wasOff ? "on" : "was not off", { name, notes: [] }),
      };
    }),
  );
}
