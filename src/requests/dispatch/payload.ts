/**
 * What the task of a request carries. Never a secret: a JWT that is to be signed names its key. Read strictly, since
 * a payload may have been written through SQL.
 */

import { PawlError } from "../../base/errors.ts";
import type { RawJson } from "../../base/json-text.ts";
import { InvalidPayload } from "../../kernel/task.ts";
import type { JwtClaims } from "../keys/index.ts";
import { type StatusCodes, statusCodes, stopCodes } from "./codes.ts";

export const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;
export type RequestMethod = (typeof METHODS)[number];

export interface RequestPayload {
  /** The same at every try: the header `idempotency-key`, and the `jti` of tokens. */
  readonly id: string;
  readonly method: RequestMethod;
  readonly url: string;
  /** With the port, unless it is the default one. */
  readonly host: string;
  /** One of the two; neither: a plain request without a body. */
  readonly body?: string;
  readonly jwt?: {
    /** Signed as they are stored, digit by digit. */
    readonly claims: JwtClaims | RawJson;
    readonly key: string;
    readonly ttlMs?: number;
  };
  /** false: the body alone, of this type. */
  readonly envelope: boolean;
  readonly contentType?: string;
  readonly success: readonly StatusCodes[];
  readonly stop: readonly StatusCodes[];
  readonly attempts: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Milliseconds since 1970; or so long after the task was created. */
  readonly expiresAtMs?: number;
  readonly expiresInMs?: number;
}

/** @throws InvalidPayload naming the field */
export function readPayload(payload: unknown): RequestPayload {
  const request = payload as RequestPayload | null;
  if (typeof request !== "object" || request === null) throw broken("it is not an object");
  if (!METHODS.includes(request.method)) throw broken("`method`");
  if (typeof request.url !== "string" || !URL.canParse(request.url)) throw broken("`url`");
  if (typeof request.id !== "string") throw broken("`id`");
  if (request.body !== undefined && typeof request.body !== "string") throw broken("`body`");
  const { key, claims } = request.jwt ?? {};
  if (request.jwt !== undefined && (typeof key !== "string" || typeof claims !== "object")) {
    throw broken("`jwt`");
  }
  for (const name of ["attempts", "intervalMs", "timeoutMs"] as const) {
    if (!(request[name] >= 1)) throw broken(`\`${name}\``);
  }
  return { ...request, ...codesOf(request) };
}

function codesOf(request: RequestPayload): Pick<RequestPayload, "success" | "stop"> {
  try {
    const success = statusCodes(request.success, "success");
    return { success, stop: stopCodes(request.stop, "stop") };
  } catch (error) {
    throw error instanceof PawlError ? broken(error.message) : error;
  }
}

function broken(what: string): InvalidPayload {
  return new InvalidPayload(
    `request: its payload cannot be used: ${what}; send it with pawl.request`,
  );
}
