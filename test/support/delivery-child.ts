/**
 * A worker process for tests of order in what goes out: ordered webhooks to a receiver of the test. How it is tried
 * again is quick, and its breaker opens for moments only.
 */

import { type App, defineApp, on, webhook } from "../../src/index.ts";
import { asWorker } from "./as-worker.ts";

export const RECEIVER = "PAWL_TEST_RECEIVER";
export const SECRET = `whsec_${Buffer.alloc(32, 3).toString("base64")}`;

export function deliveryApp(receiver: string): App {
  return defineApp({
    destinations: {
      erp: webhook({
        url: `${receiver}/hooks`,
        secret: SECRET,
        order: "aggregate",
        timeout: "1m", // the receiver may stand still, and accept late what was given up
        retry: { attempts: 1_000, delays: ["20ms"], jitter: 0 },
        breaker: { failures: 20, ratio: 0.9, open: "20ms", openMax: "50ms" },
      }),
    },
    routes: [on("order.*").to("erp")],
    http: { allow: ["127.0.0.1"] },
  });
}

const receiver = process.env[RECEIVER];
if (receiver !== undefined) await asWorker(deliveryApp(receiver), () => undefined, 3);
