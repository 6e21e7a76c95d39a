/**
 * Where events come from and where they go: the workers load the feed page by page into Pawl's inbox, and pass batches from
 * it to `store`. Invariant: an event's row, the recorded event, the job and the removal from the inbox commit together, so a
 * kill at any moment leaves all of them or none.
 */

import { httpSource, type SourceDefinition, type StoreContext, type StoredEvent } from "pawl";
import { z } from "zod";
import { summarize } from "./summarize.ts";
import { insertEvent, noteEventId } from "./tables.ts";

/** The feed's URL; its port changes with each start of `main.ts`. */
const FEED_URL = process.env.RELAY_FEED_URL ?? "http://127.0.0.1:8788";

export const github: SourceDefinition = httpSource({
  name: "github",
  url: `${FEED_URL}/events`,
  page: "id",
  // a page is about 1 MB, and the transaction of a batch 400 statements
  limit: 100,
  storeBatch: 100,
  eventName: "name",
  payload: "payload",
  // The feed only reads: a page whose answer was lost, for example by a kill, can be requested again without an operator.
  onFault: { unknown: "retry" },
  // Events are recorded in the order of the feed, and the ledger must get them in this order.
  order: "source",
  store,
});

/** An item that is not such an event is set aside on its own, with the reason; the others are stored. */
const webhookEvent = z.object({
  name: z.string(),
  payload: z.looseObject({
    action: z.string().optional(),
    repository: z.looseObject({ full_name: z.string().min(1) }).optional(),
    organization: z.looseObject({ login: z.string().min(1) }).optional(),
  }),
});
type Payload = z.infer<typeof webhookEvent>["payload"];

async function store(
  events: readonly StoredEvent[],
  { tx, record, enqueue }: StoreContext,
): Promise<void> {
  for (const event of events) {
    const feedId = Number(event.id);
    const { name, payload } = webhookEvent.parse(event);
    const aggregate = aggregateOf(payload, feedId);
    const row = { id: feedId, name, aggregate: aggregate.join(" "), payload };
    if (!(await insertEvent(tx, row))) continue;
    const kind = payload.action === undefined ? name : `${name}.${payload.action}`;
    const { id: eventId } = await record(`github.${kind}`, { aggregate, payload });
    await noteEventId(tx, feedId, eventId);
    await enqueue(summarize, { feedId, eventId });
  }
}

/** The key by which the ledger gets events in order: a repository, or an organization. */
function aggregateOf(
  { repository, organization }: Payload,
  feedId: number,
): [string, string | number] {
  if (repository !== undefined) return ["repository", repository.full_name];
  if (organization !== undefined) return ["organization", organization.login];
  return ["feed", feedId];
}
