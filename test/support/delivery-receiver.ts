/**
 * A receiver of webhooks that fails at random, and keeps a log of its own: what it accepted, in the order in which it did.
 * Accepting is the moment at which it decides so; the sender may never hear of it.
 */

import { setTimeout as pause } from "node:timers/promises";
import { bodyOf, httpServer } from "../sender/local-servers.ts";
import type { Random } from "./random.ts";

export interface Receipt {
  /** The event's, as the header says. */
  id: string;
  deliveryId: string;
  aggregate: string;
  /** Of the event within its aggregate, as the payload says. */
  place: number;
}

export interface Receiver {
  url: string;
  readonly accepted: readonly Receipt[];
  /** Requests, whatever became of them. */
  readonly requests: number;
  /** Accepted, but the connection was broken before the answer. */
  readonly broken: number;
  close(): Promise<void>;
}

/** One in ten fails: it answers 503, breaks the connection before or after accepting, or is slow. */
export async function faultyReceiver({ next, whole }: Random): Promise<Receiver> {
  const accepted: Receipt[] = [];
  let requests = 0;
  let broken = 0;
  const server = await httpServer(async (request, response) => {
    requests += 1;
    const luck = next();
    const body = await bodyOf(request).catch(() => undefined); // its sender was killed
    if (body === undefined) return;
    if (luck < 0.04) return void response.writeHead(503).end();
    if (luck < 0.06) return void request.socket.destroy();
    if (luck < 0.08) await pause(whole(50, 200));
    const { aggregate, payload } = JSON.parse(body) as {
      aggregate: { id: string };
      payload: { place: number };
    };
    accepted.push({
      id: String(request.headers["webhook-id"]),
      deliveryId: String(request.headers["x-outbox-delivery-id"]),
      aggregate: aggregate.id,
      place: payload.place,
    });
    if (luck > 0.98) {
      broken += 1;
      return void request.socket.destroy();
    }
    response.writeHead(204).end();
  });
  return {
    url: server.url,
    accepted,
    get requests() {
      return requests;
    },
    get broken() {
      return broken;
    },
    close: () => server.close(),
  };
}

/** Events of which one about the same aggregate that is younger was accepted before. */
export function inversions(accepted: readonly Receipt[]): string[] {
  const found: string[] = [];
  const reached = new Map<string, number>();
  const seen = new Set<string>();
  for (const { id, aggregate, place } of accepted) {
    if (seen.has(id)) continue;
    seen.add(id);
    const last = reached.get(aggregate) ?? -1;
    if (place < last) found.push(`${aggregate}: ${place} after ${last}`);
    reached.set(aggregate, Math.max(place, last));
  }
  return found;
}
