/** One value describes the app; workers, the CLI and your code read the same one. All of it is checked here, at once. */

import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { didYouMean } from "../base/suggest.ts";
import { isSource, type SourceDefinition } from "../inbox/source.ts";
import { PAYLOAD_BYTES_DEFAULT, payloadBytes } from "../kernel/payload.ts";
import { refuseFlowLoops } from "../outbox/destinations/flow-loops.ts";
import { destinationTypes } from "../outbox/destinations/registry.ts";
import type { DestinationDefinition, DestinationType } from "../outbox/destinations/types.ts";
import {
  checkRoutes,
  type NamedDestination,
  namedDestination,
  type Route,
} from "../outbox/routes.ts";
import type { AnyJob } from "../queue/job.ts";
import {
  DEFAULT_QUEUES,
  defineQueue,
  type QueueBehaviour,
  type QueueDefinition,
  type QueueOptions,
} from "../queue/queue-options.ts";
import {
  REQUESTS_QUEUE,
  type RequestsOptions,
  requestsBehaviour,
} from "../requests/dispatch/queue.ts";
import { defineKeys, type JwtKey, type JwtKeyOptions } from "../requests/keys/index.ts";
import type { SenderOptions } from "../requests/sender.ts";

const OPTIONS = [
  "name",
  "revision",
  "schema",
  "queues",
  "jobs",
  "destinations",
  "destinationTypes",
  "routes",
  "sources",
  "http",
  "keys",
  "requests",
  "maxPayloadBytes",
];
const APP_NAME = /^[A-Za-z0-9_.-]{1,60}$/;

export interface AppOptions {
  /** Tells apps apart that share a database; default `app`. */
  name?: string;
  /** Rises with every release: an older worker never overwrites a newer definition. Default 0. */
  revision?: number;
  /** PostgreSQL schema; default `pawl`. */
  schema?: string;
  /** Besides or instead of `high`, `normal` and `low`, in the order in which workers prefer them. */
  queues?: Record<string, QueueOptions>;
  jobs?: readonly AnyJob[];
  destinations?: Record<string, DestinationDefinition>;
  routes?: readonly Route[];
  /** Of your own, beside Pawl's: operators can then add destinations of them. */
  destinationTypes?: readonly DestinationType[];
  /** What is loaded into the inbox. */
  sources?: readonly SourceDefinition[];
  /** How HTTP requests leave: which private hosts may be reached, the proxy, further certificates. */
  http?: SenderOptions;
  /** What requests are signed with, by name. */
  keys?: Readonly<Record<string, JwtKeyOptions>>;
  /** Limits of the requests that `pawl.send` makes. */
  requests?: RequestsOptions;
  /** Of a payload, a meta or a result as JSON; default 1 MiB. */
  maxPayloadBytes?: number;
}

export interface App {
  readonly name: string;
  readonly revision: number;
  readonly schema: string;
  readonly queues: readonly QueueDefinition[];
  readonly jobs: readonly AnyJob[];
  readonly destinations: readonly NamedDestination[];
  readonly destinationTypes: readonly DestinationType[];
  readonly routes: readonly Route[];
  readonly sources: readonly SourceDefinition[];
  readonly http: SenderOptions;
  readonly keys: ReadonlyMap<string, JwtKey>;
  /** isDeclared: it means to send requests, and its queue is there from the start. */
  readonly requests: { readonly behaviour: QueueBehaviour; readonly isDeclared: boolean };
  readonly maxPayloadBytes: number;
}

const apps = new WeakSet<object>();

/** @throws PawlError `invalid_option`, `unknown_queue`, `unknown_destination`, `duplicate_name`, `address_forbidden` */
export function defineApp(options: AppOptions): App {
  refuseUnknownOptions("defineApp", options, OPTIONS);
  const { name = "app", revision = 0, schema = "pawl", jobs = [], routes = [] } = options;
  const { sources = [] } = options;
  if (!APP_NAME.test(name)) {
    throw new PawlError(
      "invalid_option",
      `expected \`name\` to be 1 to 60 letters, digits, "_", "." and "-", got ${shown(name)}`,
    );
  }
  if (!Number.isInteger(revision) || revision < 0) {
    throw new PawlError(
      "invalid_option",
      `expected \`revision\` to be an integer from 0, got ${shown(revision)}`,
    );
  }
  const queues = allQueues(options.queues ?? {});
  const destinations = Object.entries(options.destinations ?? {}).map(([key, one]) =>
    namedDestination(key, one),
  );
  checkJobs(
    jobs,
    queues.map((queue) => queue.name),
  );
  checkRoutes(
    routes,
    destinations.map((one) => one.name),
  );
  const http = options.http ?? {};
  refuseFlowLoops(routes, destinations);
  for (const { definition } of destinations) definition.checkHost?.(http.allow ?? []);
  checkSources(sources);
  for (const source of sources) source.checkHost?.(http.allow ?? []);
  const maxPayloadBytes = payloadBytes(options.maxPayloadBytes ?? PAYLOAD_BYTES_DEFAULT);
  const app = Object.freeze({
    name,
    revision,
    schema,
    queues,
    jobs,
    destinations,
    destinationTypes: destinationTypes(options.destinationTypes ?? []),
    routes,
    sources,
    http,
    keys: defineKeys(options.keys ?? {}),
    requests: {
      behaviour: requestsBehaviour(options.requests ?? {}),
      isDeclared: options.requests !== undefined || options.keys !== undefined,
    },
    maxPayloadBytes,
  });
  apps.add(app);
  return app;
}

/** True for what `defineApp` made, by this copy of the package or another. */
export function isApp(value: unknown): value is App {
  if (typeof value !== "object" || value === null) return false;
  return apps.has(value) || ("queues" in value && "jobs" in value && "maxPayloadBytes" in value);
}

/** The app's order first; the default queues that it does not name come after. */
function allQueues(named: Record<string, QueueOptions>): QueueDefinition[] {
  if (Object.hasOwn(named, REQUESTS_QUEUE)) {
    throw new PawlError(
      "invalid_option",
      "`queues.requests` is the queue of pawl.send; set its limits with `requests: { … }` of the app, or choose another name",
    );
  }
  const names = [...new Set([...Object.keys(named), ...Object.keys(DEFAULT_QUEUES)])];
  return names.map((name) => defineQueue(name, { ...DEFAULT_QUEUES[name], ...named[name] }));
}

function checkSources(sources: readonly SourceDefinition[]): void {
  const names = sources.map((source) => {
    if (isSource(source)) return source.name;
    throw new PawlError(
      "invalid_option",
      `sources: expected values made by defineSource(...), httpSource(...) and the like, got ${shown(source)}`,
    );
  });
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return;
  throw new PawlError(
    "duplicate_name",
    `sources: two are named "${twice}"; give each a name of its own`,
  );
}

function checkJobs(jobs: readonly AnyJob[], queues: readonly string[]): void {
  const seen = new Set<string>();
  for (const job of jobs) {
    if (typeof job?.run !== "function" || typeof job.name !== "string") {
      throw new PawlError(
        "invalid_option",
        `jobs: expected values made by defineJob(...), got ${shown(job)}`,
      );
    }
    if (seen.has(job.name)) {
      throw new PawlError(
        "duplicate_name",
        `jobs: two are named "${job.name}"; give each a name of its own`,
      );
    }
    seen.add(job.name);
    if (queues.includes(job.queue)) continue;
    throw new PawlError(
      "unknown_queue",
      `job "${job.name}": no queue "${job.queue}"; ${didYouMean(job.queue, queues)}`,
    );
  }
}
