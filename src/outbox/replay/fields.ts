/** What a replay is told, as code gives it and as people type it. */

import type { Duration } from "../../base/duration.ts";
import { type Field, mapped, required, typedAs, withDefault } from "../../options/field.ts";
import {
  duration,
  eventId,
  eventPattern,
  flag,
  integer,
  names,
  time,
} from "../../options/kinds.ts";
import { group, orTyped } from "../../options/parts.ts";
import { rateParts } from "../../queue/queue-options.ts";

const RATE_LIMIT_MAX = 100_000;
const RATE_PER_MS_MAX = 86_400_000;

export type ReplayRate = string | { limit: number; per?: Duration };

interface Rate {
  limit: number;
  per_ms: number;
}

const RATE = mapped(
  group(
    "the maximum rate of deliveries, such as 20/s or 500/m",
    {
      limit: required(
        integer({ help: "maximum number of deliveries in this time", max: RATE_LIMIT_MAX }),
      ),
      per: withDefault("1s", duration({ help: "the time", minMs: 1, maxMs: RATE_PER_MS_MAX })),
    },
    { example: "100/s, 1000/m or 1/10s", shape: "n/time", parts: rateParts },
  ),
  ({ limit, per }): Rate => ({ limit, per_ms: per }),
);

export const REPLAY_FIELDS: {
  readonly event: Field<string>;
  readonly name: Field<string>;
  readonly from: Field<Date>;
  readonly to: Field<Date>;
  readonly all: Field<boolean>;
  readonly dead: Field<boolean>;
  readonly destinations: Field<readonly string[], string[]>;
  readonly routed: Field<boolean>;
  readonly rate: Field<ReplayRate, Rate, "default">;
} = {
  event: eventId("one event"),
  name: eventPattern("events with this name; * matches any characters"),
  from: time("events that occurred at this time or later"),
  to: time("events that occurred before this time"),
  all: flag("all events"),
  dead: flag("only dead deliveries"),
  destinations: typedAs("destination", names("only to these destinations: erp,crm")),
  routed: flag("to the destinations that routes name now, instead of the same as before"),
  rate: withDefault("100/s", orTyped(RATE)),
};
