/** The part `outbox`: routes events to destinations, delivers them, works replays off. */

import { shownValue } from "../base/mask-json.ts";
import type { Part } from "../kernel/part.ts";
import { behaviourRow } from "../queue/queue-row.ts";
import { OUTBOX_PRODUCER_CALLS, outboxCalls, outboxWrites } from "./calls.ts";
import { outboxDefinition } from "./definition.ts";
import { operatorReferences, type References } from "./destinations/references.ts";
import { OUTBOX_NOUNS, OUTBOX_WHYS, type OutboxDesk } from "./operator/nouns.ts";
import { sealedDestinations } from "./operator/sealed.ts";
import { DELIVERY_KIND } from "./routes.ts";
import { registerOutbox } from "./sql.ts";
import {
  checkDestinations,
  type OutboxTools,
  operatorsQueues,
  outboxWork,
  queuesOfDestinations,
} from "./work.ts";

export interface OutboxProvided
  extends Pick<OutboxDesk, "types" | "destinations" | "allow">,
    Pick<References, "refuseSecrets"> {
  /** Variables and files that operators may refer to. */
  references: References;
}

export const outboxPart: Part<OutboxTools, OutboxDesk> = {
  name: "outbox",
  definition: outboxDefinition,
  calls: ({ app, caller }) => outboxCalls(app, caller),
  producerCalls: OUTBOX_PRODUCER_CALLS,
  writes: outboxWrites,
  provides: ({ app, databaseUrl }) => {
    const references = operatorReferences(app.operators, databaseUrl);
    return {
      types: app.destinationTypes,
      destinations: app.destinations,
      allow: app.http.allow ?? [],
      references,
      refuseSecrets: references.refuseSecrets,
    } satisfies OutboxProvided;
  },
  secretHolders: sealedDestinations,
  queues: queuesOfDestinations,
  operatorsQueues,
  nouns: OUTBOX_NOUNS,
  whys: OUTBOX_WHYS,
  catalogue: ({ destinations }) => ({
    queues: destinations.map(({ queue, retry, behaviour, definition }) => ({
      name: queue,
      retry,
      timeout_ms: definition.timeoutMs,
      shards: 1,
      ...behaviourRow(behaviour),
    })),
    streams: destinations.map(({ name, queue, definition }) => ({
      queue,
      kind: DELIVERY_KIND,
      version: 1,
      retry: null,
      timeout_ms: null,
      handler: `${definition.type} ${name}`,
    })),
    names: { destinations: destinations.map(({ name }) => name) },
  }),
  register: (executor, owner, { destinations, routes }) =>
    registerOutbox(executor, {
      ...owner,
      destinations: destinations.map(({ name, queue, order, definition: { type, config } }) => ({
        name,
        queue,
        type,
        config: shownValue(config) as typeof config, // a type of the app may show more than it should
        ordering: order,
      })),
      routes: routes.flatMap(({ destinations: targets, where, match, ...route }) =>
        targets.map((destination) => ({ ...route, destination, filter: where, path: match })),
      ),
    }),
  check: checkDestinations,
  work: outboxWork,
};
