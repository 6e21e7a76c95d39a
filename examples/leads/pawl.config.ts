/** The app: which message goes to which queue, how each queue retries, and what runs by the clock. */

import { type App, defineApp } from "pawl";
import { useApp } from "./client.ts";
import { calculateBenchmarks, discoverLeads, takeScreenshot } from "./crawl.ts";
import { processSesWebhook, sendEmail } from "./mail.ts";
import { analyzeLead, generateOffer, generateProposal, syncAresData } from "./sales.ts";
import {
  batchDiscovery,
  checkCertificates,
  cleanUp,
  expireProposals,
  schedules,
} from "./scheduled.ts";

const app: App = defineApp({
  name: "leads",
  // an attempt more than the retries of messenger.yaml: the first one counts here
  queues: {
    high: { retry: { attempts: 4, delay: "1s", factor: 2 }, keyRate: { limit: 14, per: "1s" } },
    normal: { retry: { attempts: 4, delay: "5s", factor: 3 } },
    low: { retry: { attempts: 3, delay: "30s", factor: 2 } },
  },
  jobs: [
    sendEmail,
    processSesWebhook,
    analyzeLead,
    generateProposal,
    generateOffer,
    syncAresData,
    discoverLeads,
    takeScreenshot,
    calculateBenchmarks,
    expireProposals,
    checkCertificates,
    cleanUp,
    batchDiscovery,
  ],
  schedules,
});

useApp(app);

export default app;
