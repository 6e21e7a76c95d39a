/** The verbs that change what a destination is: `add`, `edit`, `rotate` and `remove`. */

import { DURATION_MS_MAX, type Duration } from "../../../base/duration.ts";
import { PawlError } from "../../../base/errors.ts";
import { iso } from "../../../operate/table.ts";
import { type Verb, verb } from "../../../operate/verb.ts";
import { type Field, field, readValue, required, withDefault } from "../../../options/field.ts";
import { duration, flag, name, text } from "../../../options/kinds.ts";
import { knowing, object } from "../../../options/parts.ts";
import type { SecretRef } from "../../../secrets/secret.ts";
import type { Config } from "../../destinations/config.ts";
import { requireOperators, requireType } from "../base.ts";
import { type AddDestination, addDestination, dropDestination, editDestination } from "./act.ts";
import { CONFIG_FLAGS, typedConfig, typedSecret, UNSET } from "./config-form.ts";
import type { ChangedDestination, Destinations, DestinationsDesk } from "./destinations.ts";
import { NAME, requireShown } from "./find.ts";
import { type Rotated, rotate as rotateSecret } from "./rotate.ts";
import { changedText } from "./text.ts";

const OPTIONS: readonly (keyof AddDestination)[] = ["name", "type", "config", "active"];

export const add: Verb<Destinations["add"], DestinationsDesk> = verb({
  help: "Add a destination; events go there once a route leads to it",
  examples: [
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
  input: { destination: required(knowing(OPTIONS, object<AddDestination>("the destination"))) },
  args: ["destination"],
  form: {
    input: {
      name: NAME,
      type: required(
        name("webhook, rabbitmq, job, process, flow, null, or one of the app's", "type"),
      ),
      paused: flag("created paused; deliveries are held until `pawl destinations resume`"),
      ...CONFIG_FLAGS,
    },
    args: ["name"],
    given: async ({ name: named, type, paused, ...typed }, { base, terminal }) => {
      const config = await typedConfig(requireType((await base()).types, type), typed, terminal);
      return { destination: { name: named, type, config, active: paused !== true } };
    },
  },
  changes: true,
  run: async (desk: DestinationsDesk, { destination }, act) => {
    const { active } = destination;
    if (active !== undefined) readValue(act.where, "active", flag("on from the start"), active);
    readValue(act.where, "name", NAME, destination.name);
    const { notes } = await addDestination(desk, destination, act);
    return { ...(await requireShown(desk, destination.name)), notes };
  },
  json: changedJson,
  text: (added, { destination }) =>
    changedText(destination.active === false ? "added, turned off" : "added", added),
});

export const edit: Verb<Destinations["edit"], DestinationsDesk> = verb({
  help: "Change a destination; waiting deliveries use the new config",
  examples: [
    ["pawl destinations edit erp --url https://new.example/hooks", "within seconds"],
    [
      "pawl destinations edit erp --set retry.attempts=5 --unset rate",
      "one part; back to the default",
    ],
  ],
  input: { name: NAME, changes: required(object<Config>("fields of the config")) },
  args: ["name", "changes"],
  form: {
    input: { name: NAME, unset: UNSET, ...CONFIG_FLAGS },
    args: ["name"],
    given: async ({ name: named, ...typed }, { base, terminal }) => {
      const { store, types } = await base();
      const { type } = await requireOperators(store, named);
      const changes = await typedConfig(requireType(types, type), typed, terminal);
      if (Object.keys(changes).length > 0) return { name: named, changes };
      throw new PawlError(
        "invalid_option",
        `destination "${named}": nothing to change is given; see \`pawl destinations types ${type}\``,
      );
    },
  },
  changes: true,
  run: async (desk: DestinationsDesk, { name: named, changes }, act) => {
    const { notes } = await editDestination(desk, { name: named, changes }, act);
    return { ...(await requireShown(desk, named)), notes };
  },
  json: changedJson,
  text: (changed) => changedText("changed", changed),
});

function changedJson({ notes, ...destination }: ChangedDestination): object {
  return { destination, notes };
}

const OVERLAP: Field<Duration, number, "default"> = withDefault(
  "1d",
  duration({ help: "how long the old one also signs", maxMs: DURATION_MS_MAX }),
);

/** What it may be is known where it is used. */
const SECRET: Field<string | SecretRef> = field({
  kind: "secret",
  help: "the new one",
  shape: "ref",
  expected: "a secret",
  read: (given) => given as string | SecretRef,
});

export const rotate: Verb<Destinations["rotate"], DestinationsDesk> = verb({
  help: "Give a destination a new secret; for a time the old one also signs",
  examples: [
    ["pawl destinations rotate erp", "a new one is made, and printed this once"],
    ["pawl destinations rotate erp --secret env:ERP_SECRET_2 --overlap 2d", "one that you have"],
  ],
  input: { name: NAME, secret: SECRET, overlap: OVERLAP },
  args: ["name"],
  form: {
    input: {
      name: NAME,
      secret: text("env:NAME or file:/path of the new one (default: a generated one)", "ref"),
      secretStdin: flag("read the new one from stdin"),
      overlap: OVERLAP,
    },
    args: ["name"],
    given: async ({ name: named, secret, secretStdin, overlap }, { base, terminal }) => {
      await requireOperators((await base()).store, named);
      if (secretStdin !== true) {
        const typed = secret === undefined ? {} : { secret: typedSecret(secret, terminal) };
        return { name: named, overlap, ...typed };
      }
      if (secret === undefined)
        return { name: named, overlap, secret: await terminal.readSecret("the new secret") };
      throw new PawlError("invalid_option", "both --secret and --secret-stdin are given; give one");
    },
  },
  changes: true,
  run: (desk: DestinationsDesk, given, act) => rotateSecret(desk, given, act),
  json: (rotated, { name: destination }) => ({ destination, ...rotated }),
  text: (rotated, { name: destination }) => rotatedText(destination, rotated),
});

function rotatedText(named: string, { secret, publicKey, oldUntil, notes }: Rotated): string {
  const old =
    oldUntil === null ? "the old one has ended" : `the old one signs too until ${iso(oldUntil)}`;
  const made = secret === null ? [] : [`secret      ${secret}`, "it is not shown again"];
  const key = publicKey === null ? [] : [`public key  ${publicKey}`];
  return [changedText(`rotated, ${old}`, { name: named, notes }), ...key, ...made].join("\n");
}

export const remove: Verb<Destinations["remove"], DestinationsDesk> = verb({
  help: "Remove a destination with its routes; its waiting deliveries are cancelled",
  examples: [["pawl destinations remove erp --yes", "its history stays"]],
  input: { name: NAME },
  args: ["name"],
  changes: true,
  confirm: async (desk, { name: named }) => {
    await requireOperators((await desk()).store, named);
    const text = `destination "${named}": removing it cancels its waiting deliveries and removes its routes; add --yes, or pause it`;
    return { text };
  },
  run: (desk: DestinationsDesk, { name: named }, act) => dropDestination(desk, named, act),
  json: ({ cancelled }, { name: destination }) => ({ action: "remove", destination, cancelled }),
  text: ({ cancelled }, { name: destination }) =>
    changedText(`removed, ${cancelled} deliveries cancelled`, { name: destination }),
});
