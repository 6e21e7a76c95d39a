/** The one place where SQLSTATEs and socket errors become Pawl's errors. */

import type { ErrorCode } from "../base/error-codes.ts";
import { PawlError, toError } from "../base/errors.ts";

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
};

const UNREACHABLE_SOCKET = /^(ECONN|ENOTFOUND|EAI_|EHOST|ENET|ETIMEDOUT|EPIPE|ENOENT)/;
const UNREACHABLE_TEXT =
  /connection terminated|timeout exceeded when trying to connect|connection timeout/i;

interface DatabaseFault {
  code?: string;
  hint?: string;
  detail?: string;
  where?: string;
  message: string;
}

/** Translates whatever a driver threw. Errors of Pawl pass unchanged. */
export function translateDatabaseError(thrown: unknown): PawlError {
  if (thrown instanceof PawlError) return thrown;
  const error = toError(thrown);
  const fault: DatabaseFault = Object.assign({ message: error.message }, pick(thrown));
  const code = codeOf(fault);
  return new PawlError(code, messageOf(code, fault), {
    cause: error,
    data: { sqlstate: fault.code, detail: fault.detail },
  });
}

/** Worth trying again unchanged: the connection, the server or a lock was at fault, not the statement. */
export function isTransient(error: PawlError): boolean {
  if (error.code === "database_unreachable") return true;
  return error.code === "database_error" && !isDataFault(error);
}

/** The statement's values were at fault (SQLSTATE classes 22, 23, 54): the same values will fail again. */
export function isDataFault(error: PawlError): boolean {
  const state = error.data.sqlstate;
  return typeof state === "string" && /^(22|23|54)/.test(state) && error.code === "database_error";
}

function pick(thrown: unknown): Partial<DatabaseFault> {
  if (typeof thrown !== "object" || thrown === null) return {};
  const { code, hint, detail } = thrown as Partial<DatabaseFault>;
  return {
    ...(typeof code === "string" && { code }),
    ...(typeof hint === "string" && { hint }),
    ...(typeof detail === "string" && { detail }),
  };
}

function codeOf({ code = "", message }: DatabaseFault): ErrorCode {
  const own = OWN[code];
  if (own !== undefined) return own;
  if (UNREACHABLE_SOCKET.test(code) || UNREACHABLE_TEXT.test(message))
    return "database_unreachable";
  if (/^(08|57P0|3D000|53300)/.test(code)) return "database_unreachable";
  if (/^(28|42501)/.test(code)) return "database_permission";
  if (/^(3F000|42P01|42883)$/.test(code)) return "schema_missing";
  return "database_error";
}

function messageOf(code: ErrorCode, { message, hint, code: state }: DatabaseFault): string {
  const remedy: Partial<Record<ErrorCode, string>> = {
    database_unreachable: "check that PostgreSQL runs and that DATABASE_URL names it",
    database_permission: "give the role of DATABASE_URL the rights it needs, or use another role",
    schema_missing: "run `pawl migrate`",
  };
  const what =
    code === "database_error" && state !== undefined ? `${message} (SQLSTATE ${state})` : message;
  const advice = hint ?? remedy[code];
  const subject = state !== undefined && OWN[state] !== undefined ? "" : "database: ";
  return `${subject}${what}${advice === undefined ? "" : `; ${advice}`}`;
}
