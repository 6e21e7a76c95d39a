/** An app whose operators add destinations, a receiver on the loopback, and a master key for what they type in. */

import { randomBytes } from "node:crypto";
import { beforeEach, vi } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AppOptions,
  connect,
  defineApp,
  nullDestination,
  on,
  type Pawl,
} from "../../src/index.ts";
import { bodyOf, httpServer } from "../sender/local-servers.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";

export const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
export const MASTER_KEY: string = randomBytes(32).toString("base64");

/** Each test of the file begins with the key; `vi.stubEnv` in a test changes it. */
export function withMasterKey(): void {
  beforeEach(() => {
    vi.unstubAllEnvs();
    vi.stubEnv("PAWL_SECRET_KEY", MASTER_KEY);
  });
}

export async function shop(
  options: Partial<AppOptions> = {},
): Promise<{ pawl: Pawl; url: string }> {
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({
    name: "shop",
    http: { allow: ["127.0.0.1"] },
    destinations: { audit: nullDestination() },
    routes: [on("order.*").to("audit")],
    ...options,
  });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  atEnd(() => pawl.close());
  return { pawl, url };
}

export interface Received {
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** Answers each request with `status` and "thanks". */
export async function receiver(status = 200): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server = await httpServer(async (request, response) => {
    const headers = request.headers as Record<string, string>;
    received.push({ path: request.url ?? "", headers, body: await bodyOf(request) });
    response.writeHead(status, { "set-cookie": "session=hidden" }).end("thanks");
  });
  atEnd(() => server.close());
  return { url: server.url, received };
}

/** All that the database holds about destinations and what was done to them, as one text. */
export async function storedText(pawl: Pawl): Promise<string> {
  const rows = await pawl.store.rows(
    "select (select jsonb_agg(to_jsonb(d)) from pawl.destination d) as destinations, (select jsonb_agg(to_jsonb(a)) from pawl.audit a) as audit",
  );
  return JSON.stringify(rows);
}
