/**
 * Definitions, and what else is exported: each refuses an option that it does not know. An export without a row fails, and so does an
 * option of the app or of a queue.
 */

import { expect, test } from "vitest";
import { z } from "zod";
import * as api from "../../src/index.ts";
import * as kit from "../../src/testing/index.ts";
import * as receivers from "../../src/webhooks/index.ts";
import { expectRefusal, loose, type Row } from "../support/unknown-option.ts";

const { connect, defineApp, defineJob, defineSource, flow, on, toJob, webhook } = api;

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HOOK = { url: "https://erp.example/", secret: SECRET };
const JOB = { name: "a", input: z.object({}), run: () => undefined };
const FEED = { name: "feed2", url: "https://feed.example/", page: "id" } as const;
const TYPE = { type: "sms", label: "SMS", fields: {}, define: () => api.nullDestination() };
const STREAM = { name: "s", url: "amqp://broker.example", stream: "s" };
const TABLE = { name: "t", databaseUrl: "postgresql://db.example/x", table: "t" };

const job = defineJob(JOB);
const PROCESS = {
  name: "p",
  version: 1,
  input: JOB.input,
  steps: (s: api.Steps<Record<string, never>, object>) => s.wait("one"),
};

/** By the name of what is exported. */
const EXPORTS: Record<string, Row> = {
  connect: ["databaseURL", "databaseUrl", (odd) => connect(defineApp({}), odd)],
  testKit: ["databaseURL", "databaseUrl", (odd) => kit.testKit(defineApp({}), odd)],
  defineApp: ["job", "jobs", (odd) => defineApp(odd)],
  defineProcess: ["titel", "title", (odd) => api.defineProcess({ ...PROCESS, ...odd })],
  "defineProcess: tx": [
    "tmeout",
    "timeout",
    (odd) => api.defineProcess({ ...PROCESS, steps: (s) => s.tx("one", () => 1, odd) }),
  ],
  "defineProcess: call": [
    "ifInterupted",
    "ifInterrupted",
    (odd) => api.defineProcess({ ...PROCESS, steps: (s) => s.call("one", () => 1, odd) }),
  ],
  "defineProcess: options of a task": [
    "tmeout",
    "timeout",
    (odd) =>
      api.defineProcess({
        ...PROCESS,
        steps: (s) => s.call("one", { run: () => 1, options: odd }),
      }),
  ],
  "defineProcess: wait": [
    "signl",
    "signal",
    (odd) => api.defineProcess({ ...PROCESS, steps: (s) => s.wait("one", odd) }),
  ],
  "defineProcess: sleep": [
    "wen",
    "when",
    (odd) => api.defineProcess({ ...PROCESS, steps: (s) => s.sleep("one", "1s", odd) }),
  ],
  defineCommand: [
    "param",
    "params",
    (odd) => api.defineCommand({ name: "c", run: () => undefined, ...odd }),
  ],
  defineSchedule: [
    "timezone",
    "timeZone",
    (odd) => api.defineSchedule({ name: "s", cron: "@daily", job, input: {}, ...odd }),
  ],
  defineJob: ["que", "queue", (odd) => defineJob({ ...JOB, ...odd })],
  "defineJob: retry": ["attemps", "attempts", (odd) => defineJob({ ...JOB, retry: odd })],
  defineSource: [
    "limt",
    "limit",
    (odd) => defineSource({ name: "s", fetch: async () => [], ...odd }),
  ],
  "defineSource: onFault": [
    "unsend",
    "unsent",
    (odd) => defineSource({ name: "s", fetch: async () => [], onFault: odd }),
  ],
  "defineSource: retry": [
    "attemps",
    "attempts",
    (odd) => defineSource({ name: "s", fetch: async () => [], retry: odd }),
  ],
  "defineSource: storeRetry": [
    "attemps",
    "attempts",
    (odd) => defineSource({ name: "s", fetch: async () => [], storeRetry: odd }),
  ],
  httpSource: ["itms", "items", (odd) => api.httpSource({ ...FEED, ...odd })],
  fileSource: ["pth", "path", (odd) => api.fileSource({ name: "f", path: "/a", ...odd })],
  postgresTableSource: ["tabel", "table", (odd) => api.postgresTableSource({ ...TABLE, ...odd })],
  rabbitmqStreamSource: [
    "steam",
    "stream",
    (odd) => api.rabbitmqStreamSource({ ...STREAM, ...odd }),
  ],
  defineDestinationType: [
    "lable",
    "label",
    (odd) => api.defineDestinationType({ ...TYPE, ...odd }),
  ],
  "defineDestinationType: a field": [
    "requird",
    "required",
    (odd) =>
      api.defineDestinationType({
        ...TYPE,
        fields: { from: { kind: "text", label: "From", ...odd } },
      }),
  ],
  webhook: ["secrt", "secret", (odd) => webhook({ ...HOOK, ...odd })],
  "webhook: retry": ["attemps", "attempts", (odd) => webhook({ ...HOOK, retry: odd })],
  rabbitmq: ["exchang", "exchange", (odd) => api.rabbitmq({ url: STREAM.url, queue: "q", ...odd })],
  toJob: ["prioritty", "priority", (odd) => toJob(job, odd)],
  "toJob: retry": ["attemps", "attempts", (odd) => toJob(job, { retry: odd })],
  toProcess: ["inptu", "input", (odd) => api.toProcess(api.defineProcess(PROCESS), odd)],
  "toProcess: retry": [
    "attemps",
    "attempts",
    (odd) => api.toProcess(api.defineProcess(PROCESS), { retry: odd }),
  ],
  flow: ["nam", "name", (odd) => flow(odd)],
  "flow: with a handler": ["timout", "timeout", (odd) => flow(() => undefined, odd)],
  nullDestination: ["order", null, (odd) => loose(api.nullDestination)(odd)],
  on: ["wher", "where", (odd) => on("a.*", odd)],
  "on: where": ["mta", "meta", (odd) => on("a.*", { where: odd })],
  retrySeries: ["attemps", "attempts", (odd) => api.retrySeries(odd, "retrySeries")],
  Recoverable: ["dely", "delay", (odd) => new api.Recoverable("later", odd)],
  DeliveryFailed: ["nxt", "next", (odd) => new api.DeliveryFailed("no", odd)],
  RetryAfter: ["caus", "cause", (odd) => new api.RetryAfter("1s", "later", odd)],
  SourceAnswered: ["staus", "status", (odd) => new api.SourceAnswered("500", odd)],
  SourceUnavailable: [
    "retryAfterM",
    "retryAfterMs",
    (odd) => new api.SourceUnavailable("gone", { sent: "no", ...odd }),
  ],
  fakeSource: ["fault", "faults", (odd) => kit.fakeSource(1, odd)],
  webhookVerifier: [
    "secret",
    "secrets",
    (odd) => receivers.webhookVerifier({ secrets: SECRET, ...odd }),
  ],
  eventVerifier: ["pars", "parse", (odd) => receivers.eventVerifier({ secrets: SECRET, ...odd })],
  requestVerifier: [
    "issur",
    "issuer",
    (odd) => receivers.requestVerifier({ keys: "k".repeat(64), ...odd }),
  ],
  "requestVerifier: a key": [
    "kidd",
    "kid",
    (odd) => receivers.requestVerifier({ keys: [{ key: "k".repeat(64), ...odd }] }),
  ],
  readVerified: [
    "maxByte",
    "maxBytes",
    (odd) => receivers.readVerified({} as never, {} as never, odd),
  ],
  expressVerifier: ["maxByte", "maxBytes", (odd) => receivers.expressVerifier({} as never, odd)],
  verifyFastify: [
    "maxByte",
    "maxBytes",
    (odd) => receivers.verifyFastify({} as never, {} as never, odd),
  ],
  verifyFetch: [
    "maxByte",
    "maxBytes",
    (odd) => receivers.verifyFetch({} as never, {} as never, odd),
  ],
  signWebhook: [
    "secret",
    "secrets",
    (odd) => receivers.signWebhook({ id: "a", timestampS: 1, body: "", secrets: [SECRET], ...odd }),
  ],
  isFirst: ["scop", "scope", (odd) => receivers.isFirst({ query: unused }, "a", odd)],
  pruneSeen: [
    "tabel",
    "table",
    (odd) => receivers.pruneSeen({ query: unused }, { olderThan: "1d", ...odd }),
  ],
};

/** What is exported and takes no options: values by their place, or what another library hands over. */
const WITHOUT_OPTIONS = [
  "env",
  "file",
  "rawJson",
  "retryDelayMs",
  "jsonLogger",
  "PawlError",
  "Snooze",
  "Unrecoverable",
  "fakeStreamClient",
  "readEvent",
  "rejectedResponse",
  "answerRejected",
  "WebhookRejected",
  "seenTable",
  "generateWebhookSecret",
  "webhookPublicKey",
  "verifiedOf",
];

type Nested<Options> = { [Name in keyof Required<Options>]: readonly Row[] };

const queue = (more: api.QueueOptions) => defineApp({ queues: { high: more } });
const QUEUE: Nested<api.QueueOptions> = {
  retry: [["attemps", "attempts", (odd) => queue({ retry: odd })]],
  rate: [["brst", "burst", (odd) => queue({ rate: { limit: 1, ...odd } })]],
  kindRate: [["brst", "burst", (odd) => queue({ kindRate: { limit: 1, ...odd } })]],
  keyRate: [["brst", "burst", (odd) => queue({ keyRate: { limit: 1, ...odd } })]],
  breaker: [["ration", "ratio", (odd) => queue({ breaker: odd })]],
  keep: [["don", "done", (odd) => queue({ keep: odd })]],
  timeout: [],
  shards: [],
  concurrency: [],
  kindConcurrency: [],
  keyConcurrency: [],
  onDead: [],
};

const own = (more: object) =>
  defineApp({ destinations: { own: { ...api.nullDestination(), acceptsUnread: true, ...more } } });
const QUIET = { from: "23:50", to: "24:00", timeZone: "Europe/Warsaw" };
const APP: Nested<api.AppOptions> = {
  queues: [["concurency", "concurrency", queue], ...Object.values(QUEUE).flat()],
  http: [["alow", "allow", (odd) => defineApp({ http: odd })]],
  groups: [], // each name in it is one that the app gives
  use: [], // functions
  quietHours: [
    ["frm", "from", (odd) => defineApp({ quietHours: { closing: { ...QUIET, ...odd } } })],
  ],
  keys: [["secrt", "secret", (odd) => defineApp({ keys: { k: { secret: "s", ...odd } } })]],
  operators: [["file", "files", (odd) => defineApp({ operators: odd })]],
  requests: [
    ["perhost", "perHost", (odd) => defineApp({ requests: odd })],
    ["ration", "ratio", (odd) => defineApp({ requests: { breaker: odd } })],
    ["brst", "burst", (odd) => defineApp({ requests: { rate: { limit: 1, ...odd } } })],
    ["don", "done", (odd) => defineApp({ requests: { keep: odd } })],
  ],
  destinations: [
    ["concurency", "concurrency", (odd) => own({ queue: odd })],
    ["attemps", "attempts", (odd) => own({ retry: odd })],
    [
      "ration",
      "ratio",
      (odd) => defineApp({ destinations: { e: webhook({ ...HOOK, breaker: odd }) } }),
    ],
    [
      "brst",
      "burst",
      (odd) => defineApp({ destinations: { e: webhook({ ...HOOK, rate: { limit: 1, ...odd } }) } }),
    ],
  ],
  destinationTypes: [
    ["lable", "label", (odd) => defineApp({ destinationTypes: [{ ...TYPE, ...odd }] })],
  ],
  name: [],
  revision: [],
  schema: [],
  maxPayloadBytes: [],
  jobs: [],
  routes: [],
  sources: [],
  commands: [],
  processes: [],
  schedules: [],
};

async function unused(): Promise<never> {
  throw new Error("nothing was to be sent");
}

/** What the message begins with. */
const CALLED: Record<string, string> = {
  testKit: "connect",
  webhook: "webhook destination",
  rabbitmq: "rabbitmq destination",
};

test.each(Object.entries(EXPORTS))(
  "%s refuses an option that it does not know",
  async (name, row) => {
    await expectRefusal(name.includes(": ") ? "" : (CALLED[name] ?? name), row);
  },
);

test.each(Object.entries(APP))("defineApp: %s refuses what it does not know", async (_, rows) => {
  for (const row of rows) await expectRefusal("", row);
});

test("each function and class that is exported has a row, or takes no options", () => {
  const all = { ...api, ...kit, ...receivers };
  const functions = Object.entries(all).filter(([, value]) => typeof value === "function");
  const rows = Object.keys(EXPORTS).map((name) => name.split(":")[0]);
  const names = functions.map(([name]) => name);
  expect(new Set([...rows, ...WITHOUT_OPTIONS])).toEqual(new Set(names));
});
