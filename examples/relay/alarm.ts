/** Handles a dead delivery: writes a row of a business table in the transaction that also settles the alarm. */

import { type DestinationDefinition, flow } from "pawl";
import { z } from "zod";
import { insertAlarm } from "./tables.ts";

/** The payload of the event `pawl.delivery.dead`. */
const deadDelivery = z.object({
  deliveryId: z.string(),
  destination: z.string(),
  eventId: z.string(),
});

export const alarm: DestinationDefinition = flow(async function noteDeadDelivery(event, { tx }) {
  await insertAlarm(tx, event.id, deadDelivery.parse(event.payload));
});
