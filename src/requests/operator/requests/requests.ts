/** What `pawl.requests` offers. */

import type { RawJson } from "../../../base/json-text.ts";
import type { TaskState } from "../../../kernel/operator/filter.ts";
import type { TaskId } from "../../../kernel/task.ts";
import type { ActOptions } from "../../../operate/verb.ts";
import type { StatusCodes } from "../../dispatch/codes.ts";
import type { RequestMethod } from "../../dispatch/payload.ts";
import type { RequestRow, RequestState } from "../../dispatch/sql.ts";

export interface ListRequests {
  /** The host, with its port if the URL has one: `crm.example:8443`. */
  host?: string;
  company?: string;
  plugin?: string;
  status?: RequestState;
  /** Maximum number of requests, up to 10,000; default 50. */
  limit?: number;
}

/** A request as it was written, and its progress. */
export interface RequestDetail {
  id: string;
  state: TaskState;
  /** Why it is dead; null if it is not. */
  reason: string | null;
  method: RequestMethod;
  url: string;
  company: string | null;
  plugin: string | null;
  success: readonly StatusCodes[];
  stop: readonly StatusCodes[];
  createdAt: Date;
  /** When it is sent next, while it waits for that time. */
  nextAt: Date | null;
  expiresAt: Date | null;
  endedAt: Date | null;
  idempotencyKey: string;
  timeoutMs: number;
  attempt: {
    number: number;
    limit: number;
    intervalMs: number;
    lastAt: Date | null;
    lastStatus: number | null;
    lastMessage: string | null;
  };
  /** null if a token is the body. */
  body: string | null;
  /** The claims and the key's name; signed for each attempt. */
  jwt: RawJson | null;
  /** Why it is in its state; null if it has ended. */
  why: string | null;
}

/** One attempt, as far as it is known. */
export interface RequestTry {
  attempt: number;
  outcome: string;
  workerId: string | null;
  at: Date | null;
  durationMs: number | null;
  status: number | null;
  message: string | null;
  headers: Record<string, string> | null;
  body: string | null;
}

export interface ShownRequest {
  request: RequestDetail;
  /** Oldest first. */
  tries: RequestTry[];
}

export interface ChangeRequests extends ActOptions {
  /** Returns what would happen, and changes nothing. */
  dryRun?: boolean;
}

export interface StoppedRequests {
  dryRun: boolean;
  /** Requests that ended at once. */
  stopped: string[];
  /** Requests that are being sent, and were asked to end. */
  requested: string[];
}

export interface RetriedRequests {
  dryRun: boolean;
  retried: string[];
}

export interface SentRequest {
  id: string;
  sent: true;
  attempt: number;
  /** Summary of the answer. */
  summary: string | null;
}

/** `pawl.requests`. */
export interface Requests {
  /** Returns requests, live, dead or in history, newest first. */
  list(options?: ListRequests): Promise<RequestRow[]>;
  /** Returns one request, or undefined if there is none. */
  show(id: TaskId): Promise<ShownRequest | undefined>;
  /**
   * Ends waiting requests at once, and asks those being sent to end. If one is not live, none is changed.
   * @throws PawlError `task_not_found`
   */
  stop(ids: TaskId | readonly TaskId[], options?: ChangeRequests): Promise<StoppedRequests>;
  /**
   * Sends dead requests again, with all attempts again. If one is not dead, none is changed.
   * @throws PawlError `task_not_found`
   */
  retry(ids: TaskId | readonly TaskId[], options?: ChangeRequests): Promise<RetriedRequests>;
  /**
   * Makes one attempt of one request now, in this process, even if it is not due. It counts as an attempt.
   * @throws PawlError `request_not_sent`, `request_over` unless the answer has a success code
   */
  run(id: TaskId, options?: ActOptions): Promise<SentRequest>;
}
