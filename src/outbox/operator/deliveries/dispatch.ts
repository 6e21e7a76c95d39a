/** The verb `dispatch`: routes and delivers one batch now, in this process. */

import { setTimeout as wait } from "node:timers/promises";
import { PawlError } from "../../../base/errors.ts";
import type { Attempt } from "../../../kernel/heard.ts";
import { requireKnown } from "../../../kernel/operator/known.ts";
import type { Part } from "../../../kernel/part.ts";
import { recordAct } from "../../../operate/sql.ts";
import { table } from "../../../operate/table.ts";
import { type Desk, type Verb, verb } from "../../../operate/verb.ts";
import { withDefault } from "../../../options/field.ts";
import { integer, names } from "../../../options/kinds.ts";
import type { DestinationType } from "../../destinations/types.ts";
import { countByStatus } from "../../replay/sql.ts";
import type { NamedDestination } from "../../routes.ts";
import { destinationIds, operatorsDestinations } from "../../sql.ts";
import {
  checkDestinations,
  deliveriesWork,
  type OutboxTools,
  operatorsQueues,
  queuesOfDestinations,
} from "../../work.ts";
import type { Deliveries, Dispatched } from "./deliveries.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 10_000;
const CONCURRENCY = 20;
const IDLE_LOOK_MS = 50;
const DELIVERIES: Part<OutboxTools> = {
  name: "deliveries",
  queues: queuesOfDestinations,
  operatorsQueues,
  check: checkDestinations,
  work: deliveriesWork,
};

export interface OwnWorker {
  readonly stopWanted: Promise<unknown>;
  readonly isIdle: boolean;
  isWorkLeft(withinMs: number): Promise<boolean>;
  stop(): Promise<unknown>;
}

export interface DispatchDesk extends Desk {
  application: string | null;
  types: readonly DestinationType[];
  /** Those of the app's code. */
  destinations: readonly NamedDestination[];
  /** Runs what has to end when `stop` resolves: the process, or the client, comes to its end. */
  stoppable: <T>(work: (stop: Promise<void>) => Promise<T>) => Promise<T>;
  /** Starts a worker of the app that does what these parts do and nothing else. */
  work: (
    parts: readonly Part<OutboxTools>[],
    options: {
      queues: string[];
      limit: number;
      concurrency: number;
      roles: ["worker"];
      on: { attemptStarted: (attempt: Attempt) => void };
    },
    isStopping: () => boolean,
  ) => Promise<OwnWorker>;
}

export const dispatch: Verb<Deliveries["dispatch"], DispatchDesk> = verb({
  help: "Route and deliver one batch now, in this process",
  examples: [
    ["pawl deliveries dispatch", "up to 100 deliveries, to every destination"],
    ["pawl deliveries dispatch --destination erp --limit 1", "try one"],
  ],
  input: {
    limit: withDefault(
      LIMIT_DEFAULT,
      integer({ help: "the maximum number of deliveries", max: LIMIT_MAX }),
    ),
    destination: names("only to these destinations: erp,crm"),
  },
  needsApp: true,
  changes: true,
  run: async (desk: DispatchDesk, { limit, destination }, act): Promise<Dispatched> => {
    const queues = await queuesOf(desk, destination);
    const targets = destination?.map((name) => `destination:${name}`) ?? ["all"];
    // before: what this process has begun must not be missing when it dies
    for (const target of targets)
      await recordAct(desk.store, { ...act, target, detail: { limit } });
    const ids = new Set<string>();
    await desk.stoppable((stop) => deliverBatch(desk, { queues, limit, ids }, stop));
    const destinations = await countByStatus(desk.store, [...ids]);
    return { dispatched: destinations.reduce((sum, row) => sum + row.count, 0), destinations };
  },
  text: ({ dispatched, destinations }) => {
    if (dispatched === 0) return "nothing to deliver";
    return table(destinations, [
      { head: "DESTINATION", value: (row) => row.destination },
      { head: "STATUS", value: (row) => row.status },
      { head: "DELIVERIES", value: (row) => row.count, align: "right" },
    ]);
  },
});

/** Of those that this process can deliver to: the app's own, and those that operators made of types that it knows. */
async function queuesOf(
  { store, application, ...desk }: DispatchDesk,
  wanted: readonly string[] | undefined,
): Promise<string[]> {
  const types = desk.types.map((one) => one.type);
  const operators = await operatorsDestinations(store);
  const lines = [...desk.destinations, ...operators.filter((one) => types.includes(one.type))];
  const known = (await destinationIds(store)).map((row) => row.name);
  for (const name of wanted ?? []) {
    if (lines.some((one) => one.name === name)) continue;
    requireKnown("unknown_destination", name, known);
    throw new PawlError(
      "unknown_destination",
      `destination "${name}": the code of app "${application}" cannot deliver to it; run the command with the config of the app that defines it`,
    );
  }
  const chosen = lines.filter((one) => wanted?.includes(one.name) ?? true);
  if (chosen.length > 0) return chosen.map((one) => one.queue);
  throw new PawlError(
    "unknown_destination",
    `app "${application}" has no destination; define one, or add it with \`pawl destinations add\``,
  );
}

async function deliverBatch(
  desk: DispatchDesk,
  { queues, limit, ids }: { queues: string[]; limit: number; ids: Set<string> },
  stop: Promise<void>,
): Promise<void> {
  const over = new AbortController();
  const concurrency = Math.min(limit, CONCURRENCY);
  let isStopping = false;
  const asked = stop.then(() => {
    isStopping = true;
  });
  const attemptStarted = ({ taskId }: Attempt) => {
    ids.add(taskId);
  };
  const worker = await desk.work(
    [DELIVERIES],
    { queues, limit, concurrency, roles: ["worker"], on: { attemptStarted } },
    () => isStopping,
  );
  const idle = untilIdle(worker, over.signal);
  try {
    await Promise.race([worker.stopWanted, asked, idle]);
  } finally {
    over.abort();
    await worker.stop();
  }
  await idle;
}

async function untilIdle(worker: OwnWorker, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    if (worker.isIdle && !(await worker.isWorkLeft(0))) return;
    await wait(IDLE_LOOK_MS);
  }
}
