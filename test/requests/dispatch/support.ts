/** A receiver on the loopback, and an app that sends to it. */

import { silentLogger } from "../../../src/base/log.ts";
import { type AppOptions, connect, defineApp, type Pawl } from "../../../src/index.ts";
import type { TaskDetail } from "../../../src/kernel/operator/sql.ts";
import { bodyOf, httpServer } from "../../sender/local-servers.ts";
import { atEnd } from "../../support/at-end.ts";
import { freshDatabase } from "../../support/database.ts";
import { until } from "../../support/until.ts";

export const SECRET = "s".repeat(64);

export interface Received {
  method: string | undefined;
  path: string | undefined;
  headers: Record<string, string>;
  body: string;
  atMs: number;
}
export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}
export interface Receiver {
  url: string;
  host: string;
  received: Received[];
  close(): Promise<void>;
}

/** Answers in turn, the last one for ever; a function is asked each time. */
export async function receiver(
  answers: readonly Answer[] | ((request: Received) => Promise<Answer> | Answer),
): Promise<Receiver> {
  const received: Received[] = [];
  const server = await httpServer(async (request, response) => {
    const { method, url: path } = request;
    const headers = request.headers as Record<string, string>;
    const one = { method, path, headers, body: await bodyOf(request), atMs: performance.now() };
    received.push(one);
    const answer =
      typeof answers === "function"
        ? await answers(one)
        : (answers[received.length - 1] ?? answers.at(-1) ?? { status: 200 });
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  atEnd(() => server.close());
  return { url: server.url, host: new URL(server.url).host, received, close: () => server.close() };
}

export async function app(options: AppOptions = {}, url?: string): Promise<Pawl> {
  const databaseUrl = url ?? (await freshDatabase({ longLeases: true })).url;
  const definition = defineApp({
    http: { allow: ["127.0.0.1", "localhost"] },
    keys: { crm: { secret: SECRET } },
    ...options,
  });
  const pawl = await connect(definition, { databaseUrl, log: silentLogger });
  atEnd(() => pawl.close());
  return pawl;
}

const LIVE = new Set(["ready", "scheduled", "running", "waiting"]);

/** The request when it has ended, well or badly. */
export function ended(pawl: Pawl, id: string): Promise<TaskDetail> {
  return until(`request ${id} has ended`, async () => {
    const task = await pawl.task(id);
    return task !== undefined && !LIVE.has(task.state) && task;
  });
}

/** The request when it has failed so many times and waits. */
export function failed(pawl: Pawl, id: string, attempts = 1): Promise<TaskDetail> {
  return until(`request ${id} has failed ${attempts} times`, async () => {
    const task = await pawl.task(id);
    return task?.state === "scheduled" && task.attempt === attempts && task;
  });
}
