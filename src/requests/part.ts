/** The part `requests`: HTTP requests as tasks, signed when they are sent. */

import type { Part, PartTools } from "../kernel/part.ts";
import type { Noun } from "../operate/verb.ts";
import type { HttpSender } from "../sender/sender.ts";
import { type RequestsApp, requestsDefinition } from "./definition.ts";
import { requestHandler } from "./dispatch/handler.ts";
import { keyRing } from "./dispatch/key-ring.ts";
import { REQUESTS_QUEUE, requestsRow } from "./dispatch/queue.ts";
import { requestSender, type SendRequest } from "./dispatch/write.ts";
import { checkKey } from "./keys/index.ts";
import type { Keys } from "./operator/keys/keys.ts";
import { keysNoun } from "./operator/keys/verbs.ts";
import type { Requests } from "./operator/requests/requests.ts";
import type { RunDesk } from "./operator/requests/run.ts";
import { requestsNoun } from "./operator/requests/verbs.ts";

interface RequestTools extends PartTools {
  app: RequestsApp;
  http: HttpSender;
  /** Refuses references that the app does not allow operators. */
  refuseSecrets: RunDesk["refuseSecrets"];
}

export interface RequestsCalls {
  /**
   * Writes an HTTP request. A worker sends it until it succeeds, a stop code ends it, it expires, or its attempts are used
   * up.
   * @throws PawlError `invalid_option` naming the field, `invalid_url`, `address_forbidden`, `payload_too_large`,
   * `not_a_transaction`
   */
  request: SendRequest;
}

export interface RequestsNouns {
  readonly requests: Requests;
  readonly keys: Keys;
}

export interface RequestsProvided extends Pick<RunDesk, "keys"> {}

const nouns: { readonly [Name in keyof RequestsNouns]: Noun<RequestsNouns[Name], RunDesk> } = {
  requests: requestsNoun,
  keys: keysNoun,
};

export const requestsPart: Part<RequestTools, RunDesk> = {
  name: "requests",
  definition: requestsDefinition,
  calls: ({ app, caller: { base } }) => ({
    request: requestSender(app, base.store, keyRing(base.store, base.keys, base.refuseSecrets)),
  }),
  provides: ({ app }) => ({ keys: app.keys }) satisfies RequestsProvided,
  queues: () => [REQUESTS_QUEUE],
  nouns: Object.values(nouns) as Noun<object, RunDesk>[],
  catalogue: ({ requests }) => ({
    queues: requests.isDeclared ? [requestsRow(requests.behaviour)] : [],
  }),
  check: async ({ app, plan }) => {
    if (plan.queues.includes(REQUESTS_QUEUE)) for (const key of app.keys.values()) checkKey(key);
  },
  work: async ({ app, store, http, plan, refuseSecrets }) => {
    if (!plan.runsTasks) return {};
    const keys = keyRing(store, app.keys, refuseSecrets);
    return { handlers: [requestHandler({ executor: store, http, keys })] };
  },
};
