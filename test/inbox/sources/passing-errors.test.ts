import { expect, onTestFinished, test } from "vitest";
import { type HttpSourceOptions, httpSource } from "../../../src/inbox/sources/http.ts";
import { httpServer } from "../../sender/local-servers.ts";
import { inboxApp } from "../../support/inbox-app.ts";
import { fetchContext, windowOf } from "./reading.ts";

const sourceOf = (url: string, more: Partial<HttpSourceOptions> = {}) =>
  httpSource({ name: "orders", url, page: "id", ...more });

test.each([
  [408, true],
  [425, true],
  [500, true],
  [502, true],
  [302, false],
  [400, false],
  [404, false],
])(
  "R43: an answer %i is an error of the source; that it passes by itself is %s",
  async (status, isBusy) => {
    const server = await httpServer((_, response) => {
      response.writeHead(status, { "retry-after": "3" }).end();
    });
    onTestFinished(() => server.close());
    const source = sourceOf(server.url);
    await expect(source.request(windowOf(source), fetchContext())).rejects.toMatchObject({
      name: "SourceAnswered",
      status,
      isBusy,
      retryAfterMs: 3_000,
    });
  },
);

test("R43: what passes by itself is retried, unless the source says that answers hold", () => {
  const actions = (onFault: HttpSourceOptions["onFault"]) =>
    sourceOf("https://feed.example", { ...(onFault !== undefined && { onFault }) }).onFault;
  expect(actions(undefined)).toMatchObject({ answered: "hold", busy: "retry", unknown: "hold" });
  expect(actions({ answered: "hold" })).toMatchObject({ busy: "hold" });
  expect(actions({ busy: "hold" })).toMatchObject({ answered: "hold", busy: "hold" });
});

test("R43: one answer 500 to a polling GET holds no source, and the next one is loaded", async () => {
  let asked = 0;
  const server = await httpServer((request, response) => {
    asked += 1;
    const after = new URL(request.url ?? "", "http://feed").searchParams.get("after");
    if (asked === 1) return void response.writeHead(500).end("restarting");
    response.setHeader("content-type", "application/json");
    response.end(after === "0" ? '[{"id": 1}, {"id": 1}, {"id": 2}]' : "[]");
  });
  onTestFinished(() => server.close());
  const quick = { gap: 0, idle: "50ms", retry: { delay: "10ms" } } as const;
  const app = await inboxApp([sourceOf(server.url, quick)], { http: { allow: ["127.0.0.1"] } });
  const source = await app.becomes("orders", { storedCount: 2 });
  expect(source).toMatchObject({ requested: "2", duplicates: 1, heldAt: null });
});
