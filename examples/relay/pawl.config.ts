/** The app of this example: one job, one destination, one route. `main.ts` and every worker read this same value. */

import { type App, defineApp, env, on, webhook } from "pawl";
import { summarize } from "./summarize.ts";

/** Where `main.ts` found a port for the receiver; another one after each start. */
const RECEIVER_URL = process.env.RELAY_RECEIVER_URL ?? "http://127.0.0.1:8787";

const app: App = defineApp({
  name: "relay",
  jobs: [summarize],
  destinations: {
    hub: webhook({
      url: RECEIVER_URL,
      secret: env("RELAY_SECRET"),
      // patient enough for a receiver that is down for some minutes, prompt when it is back
      retry: { attempts: 100, delay: "200ms", factor: 2, max: "3s" },
    }),
  },
  routes: [on("github.*").to("hub")],
  // its receiver is on this machine
  http: { allow: ["127.0.0.1"] },
});

export default app;
