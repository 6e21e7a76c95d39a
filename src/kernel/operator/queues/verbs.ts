/** The noun `queues`: what each queue allows and what holds it; pause and resume one for the whole fleet. */

import { showDuration } from "../../../base/duration.ts";
import { tasksOfScope } from "../../../base/scope.ts";
import { iso } from "../../../operate/table.ts";
import { type Desk, listing, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { name } from "../../../options/kinds.ts";
import { pausing } from "../switches/pausing.ts";
import { type BreakerState, type Hold, type QueueRow, queues, type Rate } from "../switches/sql.ts";
import type { Queues } from "../switches/switches.ts";

const NAME = required(name("the queue"));

const list: Verb<Queues["list"], Desk> = verb({
  help: "List queues with their limits, and what holds them",
  examples: [["pawl queues list", "pawl stats has the counts"]],
  input: {},
  run: ({ store }) => queues(store),
  ...listing<QueueRow>("queues", [
    { head: "QUEUE", value: (row) => row.queue },
    { head: "APP", value: (row) => row.application },
    { head: "RUNNING", value: (row) => row.running, align: "right" },
    { head: "LIMIT", value: (row) => row.concurrency, align: "right" },
    { head: "RATE", value: (row) => rateText(row.rate) },
    { head: "ON DEAD", value: (row) => row.onDead },
    { head: "HELD", value: heldText },
  ]),
});

function rateText(rate: Rate | null): string | null {
  return rate === null ? null : `${rate.limit} in ${showDuration(rate.perMs)}, burst ${rate.burst}`;
}

function heldText({ holds, offHere, breakers }: QueueRow): string | null {
  const hosts = offHere.map((host) => `off on host ${host}`);
  // breakers are listed by kind instead
  const others = holds.filter(({ reason }) => reason !== "breaker").map(holdText);
  const all = [...others, ...breakerTexts(breakers), ...hosts];
  return all.length === 0 ? null : all.join("; ");
}

function holdText(hold: Hold): string {
  switch (hold.reason) {
    case "off": {
      const { scope, by, why } = hold.detail;
      const end = hold.until === null ? "" : ` until ${iso(hold.until)}`;
      const { queue, kind } = tasksOfScope(scope);
      const what = queue !== undefined && kind === undefined ? "off" : `${scope} off`;
      return `${what} by ${by}${why === null ? "" : ` ("${why}")`}${end}`;
    }
    case "quiet":
      return `quiet hours ${hold.detail.window}${hold.until === null ? "" : ` until ${iso(hold.until)}`}`;
    case "concurrency":
      return "limit reached";
    case "kind_concurrency":
      return "limit of a kind reached";
    case "rate":
      return "rate reached";
    case "kind_rate":
      return "rate of a kind reached";
    case "breaker":
      return "breaker open";
    default:
      return hold satisfies never;
  }
}

/** Each text once, with the number of kinds that it is true for. */
function breakerTexts(breakers: readonly BreakerState[]): string[] {
  const texts = breakers.map(breakerText);
  return [...new Set(texts)].map((text) => {
    const count = texts.filter((one) => one === text).length;
    return count === 1 ? text : `${text} (${count} kinds)`;
  });
}

function breakerText({ phase, until }: BreakerState): string {
  if (phase === "recovering") return "breaker closing slowly";
  if (until === null) return "breaker open, the next attempt is a probe";
  return `breaker open, a probe at ${iso(until)}`;
}

const { pause, resume } = pausing({
  kind: "queue",
  name: NAME,
  pause: {
    help: "Pause a queue: none of its tasks starts any more, on any machine",
    examples: [
      ['pawl queues pause low --why "erp down" --until 30m', "as `pawl off queue:low`"],
      ["pawl queues pause destination:erp", "the deliveries to one destination"],
    ],
  },
  resume: {
    help: "Resume a queue: its tasks may start again, and its breakers are closed",
    examples: [["pawl queues resume low", "as `pawl on queue:low`"]],
  },
});

export const queuesNoun: Noun<Queues, Desk> = {
  name: "queues",
  help: "Look at queues, pause and resume them",
  verbs: { list, pause, resume },
};
