/**
 * Secrets by reference: a definition names the environment variable, and the value is read when it is
 * needed. No message, log line or catalogue entry ever holds the value.
 */

import { PawlError } from "./errors.ts";

const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Points to a secret without holding it. Made by `env()`. */
export interface SecretRef {
  readonly env: string;
}

/**
 * The secret in the environment variable `name`, read at each use.
 *
 * @throws PawlError `invalid_option` for what cannot be the name of a variable
 */
export function env(name: string): SecretRef {
  if (typeof name === "string" && VARIABLE_NAME.test(name)) return Object.freeze({ env: name });
  throw new PawlError(
    "invalid_option",
    // The value is not shown: passing the secret itself instead of its variable's name is the likely mistake.
    "expected `env(name)` to get the name of an environment variable such as ERP_SECRET (letters, digits, _); pass the name, not the secret",
    { data: { option: "env" } },
  );
}

export function isSecretRef(value: unknown): value is SecretRef {
  return (
    value !== null && typeof value === "object" && "env" in value && typeof value.env === "string"
  );
}

/**
 * @param what whose secret it is, for the message: `"webhook secret"`
 * @throws PawlError `invalid_environment` when the variable is missing or empty
 */
export function readSecret(ref: string | SecretRef, what: string): string {
  if (typeof ref === "string") return ref;
  if (!isSecretRef(ref)) {
    throw new PawlError(
      "invalid_option",
      `${what}: expected a string or env("NAME"), got ${typeof ref}`,
      { data: { option: what } },
    );
  }
  const value = process.env[ref.env];
  if (value !== undefined && value !== "") return value;
  throw new PawlError(
    "invalid_environment",
    `${what}: the environment variable ${ref.env} is ${value === undefined ? "not set" : "empty"}; set ${ref.env} in the environment of every worker and start it again`,
    { data: { variable: ref.env, option: what } },
  );
}

/** How a secret is shown: `env:ERP_SECRET` for a reference, `***` for a value. */
export function describeSecret(ref: string | SecretRef): string {
  return isSecretRef(ref) ? `env:${ref.env}` : "***";
}
