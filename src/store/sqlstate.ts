/** The one place where SQLSTATEs and socket errors become Pawl's errors. */

import type { ErrorCode } from "../base/error-codes.ts";
import { PawlError, toError } from "../base/errors.ts";
import { isA, read } from "../base/thrown.ts";

/** Raised by Pawl's own SQL functions. */
const OWN: Record<string, ErrorCode> = {
  PW001: "lease_lost",
  PW002: "named_lease_lost",
  PW010: "invalid_option",
  PW011: "unknown_kind",
  PW012: "payload_too_large",
  PW013: "unknown_queue",
  PW014: "not_a_transaction",
  PW015: "owned_by_code",
  PW016: "duplicate_name",
  PW017: "route_not_found",
  PW018: "unknown_destination",
  PW019: "source_not_found",
  PW020: "command_not_found",
  PW021: "lock_not_found",
  PW022: "quiet_hours_not_found",
  PW023: "schedule_not_found",
  PW024: "group_not_found",
};

const TOO_MANY = "53300";
/** Not of those classes, nor of a server that is being stopped or only reads. */
const LASTING = /^(?!08|25006|40|53|55|57|58|3D000)/;
const MANY_ADVICE =
  "lower `connections` of the processes that use it, raise max_connections, or put a pooler such as PgBouncer in between";

const UNREACHABLE_SOCKET = /^(ECONN|ENOTFOUND|EAI_|EHOST|ENET|ETIMEDOUT|EPIPE|ENOENT)/;
/** What pg-pool says. */
const POOL_ENDED = /after calling end on the pool/;
const UNREACHABLE_TEXT =
  /connection terminated|timeout exceeded when trying to connect|connection timeout|timeout expired|query read timeout|not queryable/i;

export const READ_ONLY_REMEDY =
  "point DATABASE_URL at the primary, or take back default_transaction_read_only of the role or database";

interface DatabaseFault {
  code?: string;
  hint?: string;
  detail?: string;
  where?: string;
  message: string;
  connections?: number | undefined;
}

/** Translates whatever a driver threw. Errors of Pawl pass unchanged. `connections`: what this process may open here. */
export function translateDatabaseError(thrown: unknown, connections?: number): PawlError {
  if (isA(thrown, PawlError)) return thrown;
  const error = toError(thrown);
  const fault: DatabaseFault = Object.assign({ message: error.message, connections }, pick(thrown));
  const code = codeOf(fault);
  return new PawlError(code, messageOf(code, fault), {
    cause: error,
    data: { sqlstate: fault.code, detail: fault.detail },
  });
}

/** Worth trying again unchanged: the connection, the server or a lock was at fault, not the statement. */
export function isTransient(error: PawlError): boolean {
  if (error.code === "database_unreachable" || error.code === "database_read_only") return true;
  return error.code === "database_error" && !isDataFault(error);
}

/**
 * Passes without anybody mending the statement, its values, the schema or the rights: the connection, the server, its resources or a lock were
 * at fault (SQLSTATE classes 08, 40, 53, 55, 57, 58), or nobody knows what was.
 */
export function isPassing(error: PawlError): boolean {
  const state = error.data.sqlstate;
  return isTransient(error) && (typeof state !== "string" || !LASTING.test(state));
}

/** Somebody holds a lock for longer than the statement waits for it. */
export function isLockRefused(error: PawlError): boolean {
  return error.data.sqlstate === "55P03";
}

/** The statement's values were at fault (SQLSTATE classes 22, 23, 54): the same values will fail again. */
export function isDataFault(error: PawlError): boolean {
  const state = error.data.sqlstate;
  return typeof state === "string" && /^(22|23|54)/.test(state) && error.code === "database_error";
}

function pick(thrown: unknown): Partial<DatabaseFault> {
  const [code, hint, detail] = ["code", "hint", "detail"].map((field) => read(thrown, field));
  return {
    ...(typeof code === "string" && { code }),
    ...(typeof hint === "string" && { hint }),
    ...(typeof detail === "string" && { detail }),
  };
}

function codeOf({ code = "", message }: DatabaseFault): ErrorCode {
  const own = OWN[code];
  if (own !== undefined) return own;
  if (POOL_ENDED.test(message)) return "client_closed";
  if (UNREACHABLE_SOCKET.test(code) || UNREACHABLE_TEXT.test(message))
    return "database_unreachable";
  if (/^(08|57P0|3D000|53300)/.test(code)) return "database_unreachable";
  if (code === "25006") return "database_read_only";
  if (/^(28|42501)/.test(code)) return "database_permission";
  if (/^(3F000|42P01|42883)$/.test(code)) return "schema_missing";
  return "database_error";
}

function messageOf(
  code: ErrorCode,
  { message, hint, code: state, connections }: DatabaseFault,
): string {
  if (code === "client_closed")
    return "this client is closed; use it before `close()`, or make another with `connect`";
  const remedy: Partial<Record<ErrorCode, string>> = {
    database_unreachable: "check that PostgreSQL runs and that DATABASE_URL names it",
    database_read_only: READ_ONLY_REMEDY,
    database_permission:
      "grant the role of DATABASE_URL what it needs, such as pawl_producer or pawl_worker (docs/roles.md), or use another",
    schema_missing: "run `pawl migrate`",
  };
  const what =
    code === "database_error" && state !== undefined ? `${message} (SQLSTATE ${state})` : message;
  const size =
    connections === undefined ? "" : `this pool has ${connections} connections at most: `;
  const advice = hint ?? (state === TOO_MANY ? `${size}${MANY_ADVICE}` : remedy[code]);
  const subject = state !== undefined && OWN[state] !== undefined ? "" : "database: ";
  return `${subject}${what}${advice === undefined ? "" : `; ${advice}`}`;
}
