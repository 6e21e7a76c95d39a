/** What the server said, inside what a library made of it. */

import { messageOf, read } from "../base/thrown.ts";

const SQLSTATE = /^[0-9A-Z]{5}$/;
/** Prisma's own codes look the same. */
const PRISMA_CODE = /^P[1-6]\d{3}$/;
/** Where libraries keep the error of their driver, or its fields. */
const INNER = ["cause", "driverError", "original", "parent", "meta", "driverAdapterError"];
const DEPTH_MAX = 6;

export interface ServerFault {
  code: string;
  message: string;
  detail?: string;
  hint?: string;
}

/** Undefined: the server did not say it. */
export function serverFault(thrown: unknown, depth = 0): ServerFault | undefined {
  if (depth > DEPTH_MAX || thrown === undefined || thrown === null) return undefined;
  for (const field of INNER) {
    const inner = serverFault(read(thrown, field), depth + 1);
    if (inner !== undefined) return inner;
  }
  const code = [read(thrown, "originalCode"), read(thrown, "code")].find(isState);
  if (code === undefined) return undefined;
  const [detail, hint] = [read(thrown, "detail"), read(thrown, "hint")];
  const message = read(thrown, "originalMessage") ?? read(thrown, "message");
  return {
    code,
    message: typeof message === "string" ? message : messageOf(thrown),
    ...(typeof detail === "string" && { detail }),
    ...(typeof hint === "string" && { hint }),
  };
}

function isState(code: unknown): code is string {
  return typeof code === "string" && SQLSTATE.test(code) && !PRISMA_CODE.test(code);
}
