/**
 * Secrets by reference: a definition names an environment variable or a file, or holds the sealed text that an operator
 * typed in. The value is read when it is needed. No message, log line or catalogue entry ever holds it.
 */

import { PawlError } from "../base/errors.ts";
import { MASK } from "../base/mask.ts";
import { isSealed, type Sealed, unseal } from "./seal.ts";
import { readSecretFile } from "./secret-file.ts";

const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** `/run/secrets/erp`, `./erp`, `../erp`, `C:\erp`: a secret in the place of its path is not taken for one. */
const PATH = /^(?:\/|\.{1,2}[\\/]|[A-Za-z]:[\\/])[^\0\r\n]{1,4095}$/;

/** A reference to a secret that does not hold it in plain text. Made by `env()`, `file()` and `seal()`. */
export type SecretRef = { readonly env: string } | { readonly file: string } | Sealed;

/**
 * Refers to the secret in the environment variable `name`, which is read at each use.
 *
 * @throws PawlError `invalid_option` if this cannot be the name of a variable
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

/**
 * Refers to the secret in a file, without the line break at its end. The file is read at each use, so a replaced file counts
 * from the next use.
 *
 * @param path absolute, or starting with `./` or `../` (from the working directory of the process)
 * @throws PawlError `invalid_option` if it is not such a path
 */
export function file(path: string): SecretRef {
  if (typeof path === "string" && PATH.test(path)) return Object.freeze({ file: path });
  throw new PawlError(
    "invalid_option",
    "expected `file(path)` to get a path such as /run/secrets/erp or ./erp.secret; pass the path, not the secret",
    { data: { option: "file" } },
  );
}

/** `env:ERP_SECRET` and `file:/run/secrets/erp` as a person types them; `undefined` for any other text. */
export function parseSecretRef(text: string): SecretRef | undefined {
  if (text.startsWith("env:")) return env(text.slice("env:".length));
  if (text.startsWith("file:")) return file(text.slice("file:".length));
  return undefined;
}

export function isSecretRef(value: unknown): value is SecretRef {
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return false;
  return isSealed(value) || isOnlyText(value, "env") || isOnlyText(value, "file");
}

/**
 * @param what whose secret it is, for the message: `"webhook secret"`
 * @throws PawlError `invalid_environment` if the variable, the file or the key of a sealed value is missing
 */
export function readSecret(ref: string | SecretRef, what: string): string {
  if (typeof ref === "string") return ref;
  if (!isSecretRef(ref)) {
    throw new PawlError(
      "invalid_option",
      `${what}: expected a string, env("NAME") or file("/path"), got ${typeof ref}`,
      { data: { option: what } },
    );
  }
  if ("env" in ref) return readVariable(ref.env, what);
  return "file" in ref ? readSecretFile(ref.file, what) : unseal(ref);
}

function readVariable(name: string, what: string): string {
  const value = process.env[name];
  if (value !== undefined && value !== "") return value;
  throw new PawlError(
    "invalid_environment",
    `${what}: the environment variable ${name} is ${value === undefined ? "not set" : "empty"}; set ${name} in the environment of every worker and start it again`,
    { data: { variable: name, option: what } },
  );
}

/** Returns the value if it can be read here; a variable or file may exist only on the workers' machines. */
export function readableSecret(ref: string | SecretRef): string | undefined {
  try {
    return readSecret(ref, "secret");
  } catch {
    return undefined;
  }
}

/** How a secret is shown: `env:ERP_SECRET`, `file:/run/secrets/erp`, `stored` for a sealed one, `***` for a value. */
export function describeSecret(ref: string | SecretRef): string {
  if (!isSecretRef(ref)) return MASK;
  if ("env" in ref) return `env:${ref.env}`;
  return "file" in ref ? `file:${ref.file}` : "stored";
}

function isOnlyText(value: object, name: string): boolean {
  const isText = typeof (value as Record<string, unknown>)[name] === "string";
  return isText && Object.keys(value).length === 1 && Object.hasOwn(value, name);
}
