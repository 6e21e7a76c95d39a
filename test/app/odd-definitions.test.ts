import { expect, test } from "vitest";
import {
  type AppOptions,
  defineApp,
  defineSource,
  nullDestination,
  on,
  PawlError,
  webhook,
} from "../../src/index.ts";

/** What JavaScript can put where a definition should stand. */
const ODD: readonly unknown[] = [
  5,
  "x",
  true,
  null,
  [],
  {},
  [null],
  [5],
  ["x"],
  [{}],
  { a: null },
  { a: 5 },
  { a: "x" },
  { a: [] },
  { a: {} },
  () => 1,
];

const OPTIONS: Record<keyof AppOptions, true> = {
  name: true,
  revision: true,
  schema: true,
  queues: true,
  jobs: true,
  destinations: true,
  destinationTypes: true,
  routes: true,
  sources: true,
  commands: true,
  processes: true,
  schedules: true,
  groups: true,
  quietHours: true,
  use: true,
  http: true,
  keys: true,
  operators: true,
  requests: true,
  maxPayloadBytes: true,
};

test.each(Object.keys(OPTIONS))(
  "R112: whatever stands in `%s` of defineApp is taken, or refused in Pawl's words, never by a TypeError",
  (option) => {
    for (const odd of ODD)
      expectOwnWords(() => defineApp({ name: "odd", [option]: odd } as AppOptions));
  },
);

test.each(["jobs", "routes", "sources", "commands", "processes", "schedules", "destinationTypes"])(
  "`%s` that is no list is refused by its name",
  (option) => {
    for (const odd of [5, "x", true, null, {}]) {
      expect(() => defineApp({ name: "odd", [option]: odd } as AppOptions)).toThrow(
        `defineApp: expected \`${option}\` to be a list, got`,
      );
    }
  },
);

test.each(["queues", "destinations", "keys", "groups"])(
  "`%s` that is no object is refused by its name",
  (option) => {
    for (const odd of [5, "x", true, null, []]) {
      expect(() => defineApp({ name: "odd", [option]: odd } as AppOptions)).toThrow(
        `defineApp: expected \`${option}\` to be an object`,
      );
    }
  },
);

test("a route without a destination says what to add", () => {
  const routes = [on("order.*")] as unknown as AppOptions["routes"];
  expect(() =>
    defineApp({ name: "odd", destinations: { erp: nullDestination() }, ...(routes && { routes }) }),
  ).toThrow('got one that names no destination; add .to("name")');
});

test("R112: whatever stands in an option of a source or a webhook is taken, or refused in Pawl's words", () => {
  const source = { name: "s", fetch: async () => [] };
  const SOURCE = ["retry", "storeRetry", "onFault", "start", "store", "order", "limit", "config"];
  const hook = { url: "https://h.example/x", secret: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
  const HOOK = ["retry", "headers", "timeout", "queue", "order", "secret", "url"];
  for (const odd of ODD) {
    for (const option of SOURCE) expectOwnWords(() => defineSource({ ...source, [option]: odd }));
    for (const option of HOOK) expectOwnWords(() => webhook({ ...hook, [option]: odd }));
  }
});

function expectOwnWords(define: () => unknown): void {
  try {
    define();
  } catch (error) {
    expect(error).toBeInstanceOf(PawlError);
  }
}

test.each<[object, string]>([
  [{ allow: ["localhost", "two words"] }, "http.allow[1]"],
  [{ noProxy: "localhost" }, "http.noProxy"],
  [{ proxy: "ftp://proxy.example" }, "http.proxy"],
  [{ ca: "/etc/ssl/ca.pem" }, "http.ca"],
  [{ lookup: "dns" }, "http.lookup"],
  [{ alow: [] }, "alow"],
])("R112: how requests leave is read with the app: %j is refused by its name", (http, words) => {
  expect(() => defineApp({ http } as AppOptions)).toThrow(words);
});
