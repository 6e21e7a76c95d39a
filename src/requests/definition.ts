/** What an app defines of requests and of the keys that sign them. */

import { PawlError } from "../base/errors.ts";
import { scopeText } from "../base/scope.ts";
import type { GroupsApp } from "../kernel/groups/groups.ts";
import { type AppBase, type Definition, definition } from "../kernel/part.ts";
import type { FieldsOf } from "../options/field.ts";
import { anything, object } from "../options/parts.ts";
import type { QueueApp } from "../queue/definition.ts";
import type { QueueBehaviour } from "../queue/queue-options.ts";
import { REQUESTS_QUEUE, type RequestsOptions, requestsBehaviour } from "./dispatch/queue.ts";
import { defineKeys, type JwtKey, type JwtKeyOptions } from "./keys/index.ts";

export interface RequestsAppOptions {
  /** Keys that sign requests, by name. */
  keys?: Readonly<Record<string, JwtKeyOptions>>;
  /** Limits of the requests of `pawl.request`. */
  requests?: RequestsOptions;
}

export interface RequestsApp extends AppBase {
  readonly keys: ReadonlyMap<string, JwtKey>;
  /** isDeclared: it means to send requests, or to turn them off, and their queue is there from the start. */
  readonly requests: { readonly behaviour: QueueBehaviour; readonly isDeclared: boolean };
}

const FIELDS = {
  keys: object<Readonly<Record<string, JwtKeyOptions>>>("each by its name"),
  requests: anything<RequestsOptions>("read by `requestsBehaviour`"),
} satisfies FieldsOf<RequestsAppOptions>;

export const requestsDefinition: Definition = definition(
  FIELDS,
  ({ keys, requests }, app: QueueApp & GroupsApp) => {
    if (app.queues.some((queue) => queue.name === REQUESTS_QUEUE)) {
      throw new PawlError(
        "invalid_option",
        "`queues.requests` is the queue of pawl.request; set its limits with `requests: { … }` of the app, or choose another name",
      );
    }
    return {
      keys: defineKeys(keys ?? {}),
      requests: {
        behaviour: requestsBehaviour(requests === undefined ? {} : requests),
        isDeclared: requests !== undefined || keys !== undefined || isInGroup(app),
      },
    } satisfies Omit<RequestsApp, keyof AppBase>;
  },
);

function isInGroup({ groups }: GroupsApp): boolean {
  const scope = scopeText({ kind: "queue", name: REQUESTS_QUEUE });
  return Object.values(groups).some((members) => members.includes(scope));
}
