/** The part `inbox`: loads sources, and stores what they gave. */

import { hostname } from "node:os";
import { checkOne, type Part, type PartTools } from "../kernel/part.ts";
import type { Desk, Noun } from "../operate/verb.ts";
import type { WritesFor } from "../process/writes.ts";
import type { HttpSender } from "../sender/sender.ts";
import { type InboxApp, inboxDefinition } from "./definition.ts";
import { type Loader, loader } from "./loader.ts";
import { type Mover, mover } from "./mover.ts";
import type { Inbox } from "./operator/inbox/inbox.ts";
import { inboxNoun } from "./operator/inbox/verbs.ts";
import type { Sources } from "./operator/sources/sources.ts";
import { sourcesNoun } from "./operator/sources/verbs.ts";
import { WHY_SOURCE } from "./operator/why.ts";
import { registerSources } from "./register-sources.ts";
import { databaseNow, hasInboxWork } from "./sql.ts";

export type InboxRole = "loader" | "mover";

const ROLES: Readonly<Record<InboxRole, string>> = {
  loader: "loads sources",
  mover: "stores the loaded events",
};

interface InboxTools extends PartTools {
  app: InboxApp;
  http: HttpSender;
  /** What handlers call beside `tx`. */
  writes: WritesFor;
}

export interface InboxNouns {
  readonly sources: Sources;
  readonly inbox: Inbox;
}

const nouns: { readonly [Name in keyof InboxNouns]: Noun<InboxNouns[Name], Desk> } = {
  sources: sourcesNoun,
  inbox: inboxNoun,
};

export const inboxPart: Part<InboxTools> = {
  name: "inbox",
  definition: inboxDefinition,
  nouns: Object.values(nouns) as Noun<object, Desk>[],
  whys: [WHY_SOURCE],
  roles: ROLES,
  catalogue: ({ sources }) => ({ names: { sources: sources.map(({ name }) => name) } }),
  register: (executor, owner, { sources }) => registerSources(executor, owner, sources),
  check: async ({ app, plan }) => {
    if (!plan.roles.includes("loader")) return;
    for (const source of app.sources)
      await checkOne(`source "${source.name}"`, () => source.check?.());
  },
  work: async (tools) => {
    const { app, store, plan } = tools;
    const names = app.sources.map((source) => source.name);
    const load = plan.roles.includes("loader") ? names : [];
    const kept = plan.roles.includes("mover") ? names : [];
    if (load.length + kept.length === 0) return {};
    const since = await databaseNow(store);
    let moving: Mover | undefined;
    let loading: Loader | undefined;
    let isOffHere = (_source?: string) => false;
    return {
      serves: names.flatMap((name) => [
        ...(load.length > 0 ? [`source:${name}`] : []),
        ...(kept.length > 0 ? [`inbox:${name}`] : []),
      ]),
      serving: { sources: load, stores: kept },
      loops: (kernel) => {
        isOffHere = (source) => {
          const held = kernel.offHere();
          return (
            held.includes("all") || (source !== undefined && held.includes(`source:${source}`))
          );
        };
        const { http, log, transactionPool: batches, writes } = tools;
        const { sources, maxPayloadBytes: payloadBytesMax } = app;
        const shared = { ...kernel, sources, log, payloadBytesMax, isOffHere };
        moving =
          kept.length === 0
            ? undefined
            : mover({ ...shared, store, batches, writes: writes("store") });
        loading =
          load.length === 0
            ? undefined
            : loader({
                ...shared,
                executor: store,
                http,
                holder: `${app.name}@${hostname()} ${process.pid}`,
                received: () => moving?.wake(),
              });
        return [loading, moving].filter((one) => one !== undefined);
      },
      isIdle: () => (loading?.isIdle ?? true) && (moving?.isIdle ?? true),
      isWorkLeft: async () =>
        !isOffHere() &&
        (await hasInboxWork(store, {
          load: load.filter((name) => !isOffHere(name)),
          store: kept,
          since,
        })),
    };
  },
};
