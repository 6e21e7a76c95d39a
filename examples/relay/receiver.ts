/**
 * The partners of this example. `/hub` and `/ledger` check every signature with the public package `standardwebhooks`, and
 * answer only after the receipt is on disk, so that the log is independent proof. After each start `/ledger` refuses
 * requests for a while; `/broken` refuses all. Refused requests are not logged. `/desk` answers with a signal.
 */

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { parseArgs } from "node:util";
import { Webhook } from "standardwebhooks";
import { type Desk, openDesk } from "./desk.ts";
import { isMain, listenOnLoopback } from "./local.ts";
import { type Counts, type Receipt, ReceiptLog } from "./receipt-log.ts";

const BODY_BYTES_MAX = 10_485_760;
/** Number of requests that `/ledger` refuses after each start. */
const LEDGER_REFUSALS = 10;

export interface ReceiverOptions {
  /** Default 0: any free port. */
  port?: number;
  /** `whsec_<base64>` */
  secret: string;
  /** The log, one JSON line per request; an existing file is continued. */
  logFile: string;
  /** Default: one on the database of this example. */
  desk?: Desk;
}

export interface Receiver {
  /** Takes `POST` at /hub, /ledger, /broken and /desk, and answers `GET <url>/counts`. */
  url: string;
  counts(): Counts;
  close(): Promise<void>;
}

export async function startReceiver({
  port = 0,
  secret,
  logFile,
  desk = openDesk(),
}: ReceiverOptions): Promise<Receiver> {
  const webhook = new Webhook(secret);
  const log = await ReceiptLog.open(logFile);
  const endpoints = { "/hub": accepts, "/ledger": refusesFirst(LEDGER_REFUSALS), "/broken": fails };
  const refusals = new Map<string, Refusal>(Object.entries(endpoints));
  const server = createServer((request, response) => {
    handle(request, response, { webhook, log, refusals, desk }).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
  });
  try {
    const { url, close } = await listenOnLoopback(server, port);
    return {
      url,
      counts: () => log.counts(),
      close: async () => {
        await close();
        await desk.close();
        await log.close();
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

/** The status with which a request is refused, whatever it contains. */
type Refusal = () => number | undefined;

const accepts: Refusal = () => undefined;
const fails: Refusal = () => 500;

function refusesFirst(requests: number): Refusal {
  let left = requests;
  return () => {
    if (left === 0) return undefined;
    left -= 1;
    return 503;
  };
}

interface Serving {
  webhook: Webhook;
  log: ReceiptLog;
  /** Counts by path. */
  refusals: ReadonlyMap<string, Refusal>;
  desk: Desk;
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  { webhook, log, refusals, desk }: Serving,
): Promise<void> {
  if (request.method === "GET" && request.url === "/counts") {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(log.counts()));
    return;
  }
  const path = request.url ?? "";
  if (request.method === "POST" && path === "/desk") {
    const asked = await bodyOf(request);
    response.writeHead(asked === undefined ? 413 : await desk.see(asked.toString())).end();
    return;
  }
  const refusal = refusals.get(path);
  if (request.method !== "POST" || refusal === undefined) {
    response.writeHead(404).end("only POST /hub, /ledger, /broken, /desk, and GET /counts\n");
    return;
  }
  const body = await bodyOf(request);
  if (body === undefined) {
    response.writeHead(413, { connection: "close" }).end();
    return;
  }
  const refused = refusal();
  if (refused !== undefined) {
    response.writeHead(refused).end();
    return;
  }
  const receipt = { path, ...receiptOf(request, body, webhook) };
  await log.append(receipt);
  response.writeHead(receipt.verified ? 204 : 401).end();
}

function receiptOf(
  request: IncomingMessage,
  body: Buffer,
  webhook: Webhook,
): Omit<Receipt, "path"> {
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
  );
  const verified = isVerified(body, headers, webhook);
  return {
    at: new Date().toISOString(),
    // This is the only header covered by the signature.
    eventId: headers["webhook-id"] ?? null,
    deliveryId: headers["x-outbox-delivery-id"] ?? null,
    eventName: headers["x-event-name"] ?? null,
    verified,
  };
}

function isVerified(body: Buffer, headers: Record<string, string>, webhook: Webhook): boolean {
  try {
    webhook.verify(body, headers, { jsonParse: false });
    return true;
  } catch {
    return false;
  }
}

/** Returns undefined for a body that is too large. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

if (isMain(import.meta.url)) {
  const { values } = parseArgs({ options: { port: { type: "string" }, log: { type: "string" } } });
  const secret = process.env.RECEIVER_SECRET;
  if (secret === undefined || values.log === undefined) {
    throw new Error("usage: RECEIVER_SECRET=whsec_… receiver.ts --log <file> [--port <n>]");
  }
  const receiver = await startReceiver({
    port: Number(values.port ?? 0),
    secret,
    logFile: values.log,
  });
  const stopped = Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  process.stdout.write(`${receiver.url}\n`); // whoever reads it may stop us at once
  await stopped;
  await receiver.close();
}
