/** `pawl destinations add`, `edit`, `rotate` and `remove`. */

import { type Command, Option } from "commander";
import { PawlError } from "../base/errors.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import { requireOperators, requireType } from "../outbox/operators/base.ts";
import { describe } from "../outbox/operators/describe.ts";
import {
  addDestination,
  dropDestination,
  editDestination,
} from "../outbox/operators/destinations.ts";
import { type Rotated, rotate } from "../outbox/operators/rotate.ts";
import type { TestBase } from "../outbox/operators/test-delivery.ts";
import { actOf, withAct } from "./act.ts";
import { command, does } from "./command.ts";
import { withOperators } from "./destinations-base.ts";
import {
  type ConfigOptions,
  collect,
  readStdinSecret,
  typedConfig,
  typedSecret,
  withConfigOptions,
} from "./destinations-config.ts";
import { changedText } from "./destinations-text.ts";
import type { Answer } from "./output.ts";
import { iso } from "./table.ts";
import { duration } from "./values.ts";

const DAY_MS = 86_400_000;

export function addCommand(): Command {
  const made = command(
    "add <name>",
    "Add a destination; events go there once a route leads to it",
    [
      [
        "pawl destinations add erp --type webhook --url https://erp.example/hooks --secret env:ERP_SECRET",
        "signed POSTs",
      ],
      [
        "pawl destinations add crm --type rabbitmq --set url=env:CRM_URL --set exchange=events",
        "any type",
      ],
      ["pawl destinations types webhook", "the fields of a type"],
    ],
  )
    .requiredOption("--type <type>", "webhook, rabbitmq, job, flow, null, or one of the app's")
    .option("--paused", "made turned off: what comes is held until `pawl destinations resume`");
  return does<ConfigOptions & Act & { type: string; paused?: boolean }>(
    withAct(withConfigOptions(made)),
    (call, { type, paused = false, ...options }) =>
      withOperators(call, async (base) => {
        const name = call.args[0] ?? "";
        const config = await typedConfig(requireType(base.types, type), options);
        const { notes } = await addDestination(
          base,
          { name, type, config, active: !paused },
          actOf(options),
        );
        return changed(base, { name, notes, what: paused ? "added, turned off" : "added" });
      }),
  );
}

export function editCommand(): Command {
  const made = command(
    "edit <name>",
    "Change a destination; what waits goes out by the new config",
    [
      ["pawl destinations edit erp --url https://new.example/hooks", "within seconds"],
      [
        "pawl destinations edit erp --set retry.attempts=5 --unset rate",
        "one part; back to the default",
      ],
    ],
  ).option("--unset <field>", "take a value away; may be repeated", collect);
  return does<ConfigOptions & Act>(withAct(withConfigOptions(made)), (call, options) =>
    withOperators(call, async (base) => {
      const row = await requireOperators(base.store, call.args[0] ?? "");
      const { name } = row;
      const changes = await typedConfig(requireType(base.types, row.type), options);
      if (Object.keys(changes).length === 0) {
        throw new PawlError(
          "invalid_option",
          `destination "${name}": nothing to change is given; see \`pawl destinations types ${row.type}\``,
        );
      }
      const { notes } = await editDestination(base, { name, changes }, actOf(options));
      return changed(base, { name, notes, what: "changed" });
    }),
  );
}

async function changed(
  base: TestBase,
  { name, notes, what }: { name: string; notes: string[]; what: string },
): Promise<Answer> {
  const [destination] = await describe(base, base.store, name);
  return { json: { destination, notes }, text: changedText(what, { name, notes }) };
}

interface RotateCall extends Act {
  secret?: string;
  secretStdin?: boolean;
  overlap: number;
}

export function rotateCommand(): Command {
  const made = command(
    "rotate <name>",
    "Give a destination a new secret; for a time the old one signs too",
    [
      ["pawl destinations rotate erp", "a new one is made, and printed this once"],
      ["pawl destinations rotate erp --secret env:ERP_SECRET_2 --overlap 2d", "one that you have"],
    ],
  )
    .option("--secret <ref>", "env:NAME or file:/path of the new one (default: one is made)")
    .option("--secret-stdin", "read the new one from stdin")
    .addOption(
      new Option("--overlap <duration>", "how long the old one goes on signing")
        .argParser(duration("--overlap", 0))
        .default(DAY_MS, "1d"),
    );
  return does<RotateCall>(withAct(made), (call, options) =>
    withOperators(call, async (base) => {
      const name = call.args[0] ?? "";
      const { secret: typed, secretStdin = false, overlap } = options;
      await requireOperators(base.store, name);
      if (typed !== undefined && secretStdin) {
        throw new PawlError(
          "invalid_option",
          "both --secret and --secret-stdin are given; give one",
        );
      }
      const stdin = secretStdin ? await readStdinSecret("the new secret") : undefined;
      const secret = stdin ?? (typed === undefined ? undefined : typedSecret(typed));
      const given = { name, overlap, ...(secret !== undefined && { secret }) };
      const rotated = await rotate(base, given, actOf(options));
      return { json: { destination: name, ...rotated }, text: rotatedText(name, rotated) };
    }),
  );
}

function rotatedText(name: string, { secret, publicKey, oldUntil, notes }: Rotated): string {
  const old =
    oldUntil === null ? "the old one has ended" : `the old one signs too until ${iso(oldUntil)}`;
  const made = secret === null ? [] : [`secret      ${secret}`, "it is not shown again"];
  const key = publicKey === null ? [] : [`public key  ${publicKey}`];
  return [changedText(`rotated, ${old}`, { name, notes }), ...key, ...made].join("\n");
}

export function removeCommand(): Command {
  const made = command(
    "remove <name>",
    "Remove a destination with its routes; what waits for it is cancelled",
    [["pawl destinations remove erp --yes", "its history stays"]],
  ).option("--yes", "needed: nobody asks again");
  return does<Act & { yes?: boolean }>(withAct(made), (call, options) =>
    withOperators(call, async (base) => {
      const name = call.args[0] ?? "";
      await requireOperators(base.store, name);
      if (options.yes !== true) {
        throw new PawlError(
          "invalid_option",
          `destination "${name}": removing it cancels what waits and removes its routes; add --yes, or pause it`,
        );
      }
      const { cancelled } = await dropDestination(base, name, actOf(options));
      return {
        json: { action: "remove", destination: name, cancelled },
        text: changedText(`removed, ${cancelled} deliveries cancelled`, { name, notes: [] }),
      };
    }),
  );
}
