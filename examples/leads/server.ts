/** The web side: it takes a wish or a webhook, puts it into the queue, and answers 202 at once. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { type Pawl, PawlError } from "pawl";
import { answerRejected, env, readVerified, webhookVerifier } from "pawl/webhooks";
import type { z } from "zod";
import { client } from "./client.ts";
import { processSesWebhook } from "./mail.ts";
import type { ProcessSesWebhook } from "./messages.ts";
import "./pawl.config.ts";
import { generateProposal } from "./sales.ts";

type Notice = z.infer<typeof ProcessSesWebhook>;

const PROPOSAL = /^\/api\/leads\/(\d{1,9})\/proposals$/;

export function leadsServer(pawl: Pawl): Server {
  const verifier = webhookVerifier({ secrets: env("LEADS_SES_SECRET") });
  const route = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [, leadId] = PROPOSAL.exec(request.url ?? "") ?? [];
    if (request.method === "POST" && leadId !== undefined) {
      const input = { ...(JSON.parse(await text(request)) as object), leadId: Number(leadId) };
      const { id, outcome } = await pawl.enqueue(generateProposal, input as never);
      response
        .writeHead(202, { location: `/api/tasks/${id}` })
        .end(JSON.stringify({ id, outcome }));
      return;
    }
    if (request.method === "POST" && request.url === "/webhooks/ses") {
      const { payload } = await readVerified(request, verifier);
      const { id, outcome } = await pawl.enqueue(processSesWebhook, payload as Notice); // which checks it
      response.writeHead(202).end(JSON.stringify({ id, outcome }));
      return;
    }
    response.writeHead(404).end();
  };
  return createServer((request, response) => {
    route(request, response).catch((error: unknown) => refuse(error, response));
  });
}

function refuse(error: unknown, response: ServerResponse): void {
  if (
    error instanceof SyntaxError ||
    (error instanceof PawlError && error.code === "invalid_payload")
  ) {
    response.writeHead(400).end(JSON.stringify({ error: error.message }));
    return;
  }
  try {
    answerRejected(error, response);
  } catch {
    response.writeHead(500).end(); // the sender tries again
  }
}

if (process.argv[1] === import.meta.filename) {
  leadsServer(await client()).listen(Number(process.env.PORT ?? 8791), "127.0.0.1");
}
