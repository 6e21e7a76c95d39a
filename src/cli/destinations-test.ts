/** `pawl destinations test`: sends one real event that is recorded nowhere, and shows what went out and came back. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import {
  type TestEvent,
  type TestOptions,
  type TestResult,
  testDestination,
} from "../outbox/operators/test-delivery.ts";
import { command, does } from "./command.ts";
import { withOperators } from "./destinations-base.ts";
import { testText } from "./destinations-text.ts";
import { printAnswer } from "./output.ts";
import { eventId, jsonValue } from "./values.ts";

interface TestCall {
  event?: string;
  name?: string;
  payload?: unknown;
}

export function testCommand(): Command {
  const made = command(
    "test <name>",
    "Send one test event now, and show the request and the answer",
    [
      ["pawl destinations test erp", "an event named pawl.test; exit code 0 when it is accepted"],
      [
        "pawl destinations test erp --name order.placed --payload '{\"total\":10}'",
        "one of your own",
      ],
    ],
  )
    .option("--event <id>", "the content of a recorded event, under a new id", eventId)
    .option("--name <name>", "of the event (default: pawl.test)")
    .option("--payload <json>", "of the event", jsonValue("--payload"));
  return does<TestCall>(made, (call, options) =>
    withOperators(call, async (base) => {
      const result = await testDestination(base, { name: call.args[0] ?? "", ...eventOf(options) });
      const answer = { json: result, text: testText(result) };
      if (result.accepted) return answer;
      if (!call.json) printAnswer(answer, false);
      throw notAccepted(result);
    }),
  );
}

function eventOf({ event, name, payload }: TestCall): TestOptions {
  if (event === undefined) {
    const made: TestEvent = {
      ...(name !== undefined && { name }),
      ...(payload !== undefined && { payload }),
    };
    return { event: made };
  }
  if (name === undefined && payload === undefined) return { event };
  throw new PawlError(
    "invalid_option",
    "both --event and what describes an event are given; give one",
  );
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
