/** The app of this example: one source, one job, one process, five destinations and their routes. `main.ts` and every worker read this same value. */

import { type App, defineApp, env, on, toProcess, type WebhookOptions, webhook } from "pawl";
import { alarm } from "./alarm.ts";
import { followUp } from "./follow-up.ts";
import { github } from "./source.ts";
import { summarize } from "./summarize.ts";

/** The receiver's URL; its port changes with each start of `main.ts`. */
const RECEIVER_URL = process.env.RELAY_RECEIVER_URL ?? "http://127.0.0.1:8787";

const secret = env("RELAY_SECRET");

/** Long enough for a receiver that is down for some minutes, and quick when it is back. */
const patient: Pick<WebhookOptions, "retry" | "breaker"> = {
  retry: { attempts: 100, delay: "200ms", factor: 2, max: "3s" },
  breaker: { failures: 5, open: "500ms", openMax: "2s" },
};

const app: App = defineApp({
  name: "relay",
  sources: [github],
  jobs: [summarize],
  processes: [followUp],
  destinations: {
    hub: webhook({ url: `${RECEIVER_URL}/hub`, secret, ...patient }),
    // events of a repository go one after the other, also while the receiver refuses them
    ledger: webhook({ url: `${RECEIVER_URL}/ledger`, secret, order: "aggregate", ...patient }),
    // never accepts anything; a breaker would only delay its dead letters
    broken: webhook({
      url: `${RECEIVER_URL}/broken`,
      secret,
      retry: { attempts: 2, delay: "50ms" },
      breaker: false,
    }),
    alarm,
    // an event starts one run, however often its delivery is tried
    desk: toProcess(followUp, { input: ({ id, name }) => ({ eventId: id, kind: name }) }),
  },
  routes: [
    on("github.*").to("hub", "ledger"),
    on("github.ping").to("broken"),
    on("github.issues.opened").to("desk"),
    on("github.release.published").to("desk"),
    on("pawl.delivery.dead").to("alarm"),
  ],
  // the feed and the receiver are on this machine
  http: { allow: ["127.0.0.1"] },
});

export default app;
