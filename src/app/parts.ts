/**
 * The parts of Pawl, in the order in which a worker asks them. Adding one is a folder, a line in the list, and for the compiler a
 * name in each of the interfaces that it adds to.
 */

import type { ControlApp, ControlAppOptions } from "../control/definition.ts";
import type { CommandsDesk } from "../control/operator/commands.ts";
import { type ControlNouns, controlPart } from "../control/part.ts";
import type { InboxApp, InboxAppOptions } from "../inbox/definition.ts";
import { type InboxNouns, type InboxRole, inboxPart } from "../inbox/part.ts";
import type { KernelCalls } from "../kernel/operator/calls.ts";
import type { PruneDesk } from "../kernel/operator/history/verbs.ts";
import {
  type KernelApp,
  type KernelAppOptions,
  type KernelNouns,
  kernelPart,
} from "../kernel/operator/part.ts";
import type { TasksDesk } from "../kernel/operator/tasks/tasks.ts";
import type { Part, PartTools } from "../kernel/part.ts";
import type { OUTBOX_PRODUCER_CALLS, OutboxCalls } from "../outbox/calls.ts";
import type { OutboxApp, OutboxAppOptions } from "../outbox/definition.ts";
import type { OutboxDesk, OutboxNouns } from "../outbox/operator/nouns.ts";
import { type OutboxProvided, outboxPart } from "../outbox/part.ts";
import type { ProcessApp, ProcessAppOptions } from "../process/definition.ts";
import type { ProcessDesk } from "../process/operator/work.ts";
import {
  type PROCESS_PRODUCER_CALLS,
  type ProcessCalls,
  type ProcessNouns,
  type ProcessProvided,
  processPart,
} from "../process/part.ts";
import type { WritesFor } from "../process/writes.ts";
import type { QUEUE_PRODUCER_CALLS, QueueCalls } from "../queue/calls.ts";
import type { QueueApp, QueueAppOptions } from "../queue/definition.ts";
import { type QueueProvided, queuePart } from "../queue/part.ts";
import { type RegistryNouns, registryPart } from "../registry/part.ts";
import type { RequestsApp, RequestsAppOptions } from "../requests/definition.ts";
import type { RunDesk } from "../requests/operator/requests/run.ts";
import {
  type RequestsCalls,
  type RequestsNouns,
  type RequestsProvided,
  requestsPart,
} from "../requests/part.ts";
import type { ScheduleApp, ScheduleAppOptions } from "../schedule/definition.ts";
import type { ScheduleDesk, ScheduleProvided } from "../schedule/operator/schedules.ts";
import { type ScheduleNouns, type ScheduleRole, schedulePart } from "../schedule/part.ts";
import type { HttpSender, SenderOptions } from "../sender/sender.ts";

export const PARTS: readonly AppPart[] = [
  kernelPart,
  queuePart,
  outboxPart,
  requestsPart,
  inboxPart,
  controlPart,
  processPart,
  schedulePart,
  registryPart,
];

export type AppPart = Part<Tools, Operating>;

export interface AppOptions
  extends KernelAppOptions,
    QueueAppOptions,
    OutboxAppOptions,
    RequestsAppOptions,
    InboxAppOptions,
    ControlAppOptions,
    ProcessAppOptions,
    ScheduleAppOptions {
  /**
   * Tells apps apart that share a database: a name that one app defines, another app cannot define. Default: the name of the
   * package whose file calls `defineApp` (`@acme/shop` gives `acme.shop`), or `app` where there is no package.
   */
  name?: string;
  /** Raise it with every release: an older worker never overwrites a newer definition. Default 0. */
  revision?: number;
  /** The PostgreSQL schema; default `pawl`. */
  schema?: string;
  /** How HTTP requests are sent: permitted private hosts, proxy, additional certificates. */
  http?: SenderOptions;
  /** Maximum size in bytes of a payload, a `meta` or a result, as JSON; default 1 MiB. */
  maxPayloadBytes?: number;
}

export interface App
  extends KernelApp,
    QueueApp,
    OutboxApp,
    RequestsApp,
    InboxApp,
    ControlApp,
    ProcessApp,
    ScheduleApp {}

/** Calls of the client that have no noun, such as `pawl.enqueue`. */
export interface Calls extends KernelCalls, QueueCalls, OutboxCalls, RequestsCalls, ProcessCalls {}

export interface Nouns
  extends KernelNouns,
    OutboxNouns,
    RequestsNouns,
    InboxNouns,
    ControlNouns,
    ProcessNouns,
    ScheduleNouns,
    RegistryNouns {}

/** Those of them that `connect(app, { role: "producer" })` has. */
export type PartProducerCall = (
  | typeof QUEUE_PRODUCER_CALLS
  | typeof OUTBOX_PRODUCER_CALLS
  | typeof PROCESS_PRODUCER_CALLS
)[number];

/** Roles that parts add to `worker`. */
export type PartRole = InboxRole | ScheduleRole;

/** What parts give to the verbs and the work of all parts. */
export interface Provided
  extends QueueProvided,
    OutboxProvided,
    RequestsProvided,
    ProcessProvided,
    ScheduleProvided {}

/** What every verb of every part can ask for. */
export interface Operating
  extends TasksDesk,
    PruneDesk,
    OutboxDesk,
    RunDesk,
    CommandsDesk,
    ProcessDesk,
    ScheduleDesk {
  app: App | undefined;
}

/** What a worker gives to all of them. */
export interface Tools extends PartTools, Provided {
  app: App;
  http: HttpSender;
  writes: WritesFor;
}
