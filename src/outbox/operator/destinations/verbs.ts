/** The noun `destinations`: where events go. Operators add, change, test, pause and remove them, without writing JSON. */

import { queueScope } from "../../../base/scope.ts";
import { OFF_OPTIONS } from "../../../kernel/operator/switches/turn.ts";
import { untilStopped } from "../../../kernel/operator/switches/until-stopped.ts";
import { type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { flag, name } from "../../../options/kinds.ts";
import type { DestinationType } from "../../destinations/types.ts";
import { queueOfDestination } from "../../routes.ts";
import { requireType } from "../base.ts";
import { pause as pauseOne, resume as resumeOne } from "./act.ts";
import { add, edit, remove, rotate } from "./change.ts";
import { describe } from "./describe.ts";
import type { Destinations, DestinationsDesk } from "./destinations.ts";
import { NAME, requireShown } from "./find.ts";
import { testVerb } from "./test-verb.ts";
import { changedText, listText, showText, typesText, typeText } from "./text.ts";

const list: Verb<Destinations["list"], DestinationsDesk> = verb({
  help: "List destinations with their owner, what holds them, and what waits",
  examples: [["pawl destinations list", "those of the code and those that operators added"]],
  input: {},
  run: (desk: DestinationsDesk) => describe(desk, desk.store),
  json: (destinations) => ({ destinations }),
  text: (destinations) => listText(destinations),
});

const show: Verb<Destinations["show"], DestinationsDesk> = verb({
  help: "Show a destination with its config, secrets masked",
  examples: [["pawl destinations show erp", "URL, headers, limits, and why it is not on"]],
  input: { name: NAME },
  args: ["name"],
  absent: "unknown_destination",
  run: (desk: DestinationsDesk, { name: wanted }) => requireShown(desk, wanted),
  json: (destination) => ({ destination }),
  text: showText,
});

const type: Verb<Destinations["type"], DestinationsDesk> = verb({
  help: "List the types of destinations, or the fields of one",
  examples: [
    ["pawl destinations types", "Pawl's, and those of the app"],
    ["pawl destinations types webhook", "what `--set` can set"],
  ],
  input: { type: required(name("the type", "type")) },
  args: ["type"],
  without: "types",
  isOffline: true,
  run: async ({ types: known }: DestinationsDesk, { type: wanted }) => requireType(known, wanted),
  json: (found) => ({ type: typeJson(found) }),
  text: typeText,
});

const types: Verb<Destinations["types"], DestinationsDesk> = verb({
  help: "List the types of destinations",
  input: {},
  isOffline: true,
  run: async ({ types: known }: DestinationsDesk) => known,
  json: (known) => ({ types: known.map(typeJson) }),
  text: typesText,
});

function typeJson({ type: named, label, fields }: DestinationType): object {
  return { type: named, label, fields };
}

const pause: Verb<Destinations["pause"], DestinationsDesk> = verb({
  help: "Pause a destination: its deliveries are held, or dropped",
  examples: [
    [
      'pawl destinations pause erp --why "erp down" --until 30m',
      "held, and on again automatically",
    ],
    [
      "pawl destinations pause erp --drop",
      "waiting deliveries are cancelled, new ones are not created",
    ],
  ],
  input: { name: NAME, drop: flag("drop its deliveries instead of holding them"), ...OFF_OPTIONS },
  args: ["name"],
  changes: true,
  run: async (desk: DestinationsDesk, { name: wanted, drop, until, wait }, act) => {
    const paused = await pauseOne(desk, wanted, { ...act, drop, ...until });
    if (wait === true) await untilStopped(desk, queueScope(queueOfDestination(wanted)));
    return paused;
  },
  json: ({ cancelled }, { name: paused, drop = false }) => ({
    action: "pause",
    destination: paused,
    drop,
    cancelled,
  }),
  text: ({ cancelled }, { name: paused, drop }) =>
    changedText(
      drop === true ? `off, dropping; ${cancelled} deliveries cancelled` : "off, holding",
      { name: paused },
    ),
});

const resume: Verb<Destinations["resume"], DestinationsDesk> = verb({
  help: "Resume a destination; its breaker is closed too",
  examples: [["pawl destinations resume erp", "what was held goes out"]],
  input: { name: NAME },
  args: ["name"],
  changes: true,
  run: (desk: DestinationsDesk, { name: wanted }, act) => resumeOne(desk, wanted, act),
  json: (wasOff, { name: resumed }) => ({ action: "resume", destination: resumed, wasOff }),
  text: (wasOff, { name: resumed }) =>
    changedText(wasOff ? "on" : "was not off", { name: resumed }),
});

export const destinationsNoun: Noun<Destinations, DestinationsDesk> = {
  name: "destinations",
  help: "Look at destinations, add, change, test, pause and remove them",
  verbs: { list, show, type, types, add, edit, test: testVerb, pause, resume, rotate, remove },
  paths: { type: "destinations types", types: null },
};
