/** What follows a dead delivery: a row in a business table, written by the transaction that also settles the alarm. */

import { type DestinationDefinition, flow } from "pawl";
import { z } from "zod";
import { insertAlarm } from "./tables.ts";

/** Of the event `pawl.delivery.dead`. */
const deadDelivery = z.object({
  deliveryId: z.string(),
  destination: z.string(),
  eventId: z.string(),
});

export const alarm: DestinationDefinition = flow(async function noteDeadDelivery(event, { tx }) {
  await insertAlarm(tx, event.id, deadDelivery.parse(event.payload));
});
