/** The verb `test`: sends one real event that is recorded nowhere, and shows what went out and came back. */

import { PawlError } from "../../../base/errors.ts";
import { isRecord } from "../../../base/options.ts";
import { type Verb, verb } from "../../../operate/verb.ts";
import { type Field, field, typedAs } from "../../../options/field.ts";
import { eventId, json, name } from "../../../options/kinds.ts";
import { knowing } from "../../../options/parts.ts";
import { EVENT_OPTIONS } from "../../record.ts";
import type { Destinations, DestinationsDesk } from "./destinations.ts";
import { NAME } from "./find.ts";
import {
  type TestEvent,
  type TestOptions,
  type TestResult,
  testDestination,
} from "./test-delivery.ts";
import { testText } from "./text.ts";

const EVENT: Field<string | TestEvent> = knowing(
  ["name", ...EVENT_OPTIONS],
  field({
    kind: "testEvent",
    help: "what to send: the id of a recorded event, or an event",
    shape: "event",
    expected: "the id of a recorded event, or an object with what to send",
    read: (given) => (typeof given === "string" || isRecord(given) ? given : undefined),
  }),
);

export const testVerb: Verb<Destinations["test"], DestinationsDesk> = verb({
  help: "Send one test event now, and show the request and the answer",
  examples: [
    ["pawl destinations test erp", "an event named pawl.test; exit code 0 when it is accepted"],
    [
      "pawl destinations test erp --name order.placed --payload '{\"total\":10}'",
      "one of your own",
    ],
  ],
  input: { name: NAME, event: EVENT },
  args: ["name"],
  form: {
    input: {
      name: NAME,
      event: eventId("the content of a recorded event, under a new id"),
      eventName: typedAs("name", name("of the event (default: pawl.test)")),
      payload: json("of the event"),
    },
    args: ["name"],
    given: ({ name: destination, ...typed }) => ({ name: destination, ...eventOf(typed) }),
  },
  changes: true,
  run: (desk: DestinationsDesk, given, act) => testDestination(desk, given, act),
  text: testText,
  failure: (result) => (result.accepted ? undefined : notAccepted(result)),
});

interface TypedEvent {
  event?: string;
  eventName?: string;
  payload?: unknown;
}

function eventOf({ event, eventName, payload }: TypedEvent): TestOptions {
  const isDescribed = eventName !== undefined || payload !== undefined;
  if (event !== undefined && isDescribed) {
    throw new PawlError(
      "invalid_option",
      "both --event and what describes an event are given; give one",
    );
  }
  if (event !== undefined) return { event };
  return {
    event: {
      ...(eventName !== undefined && { name: eventName }),
      ...(payload !== undefined && { payload }),
    },
  };
}

/** The exit code says that it failed; with `--json` the whole result is in `data`. */
function notAccepted(result: TestResult): PawlError {
  const why = result.error?.message ?? "no reason given";
  return new PawlError(
    "delivery_failed",
    `destination "${result.destination}": the test event was not accepted: ${why}`,
    { data: { ...result } },
  );
}
