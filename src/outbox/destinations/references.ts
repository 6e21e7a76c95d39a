/**
 * The variables and files that operators' destinations and keys may refer to. An operator decides where an event goes, so he
 * can read the value of a header, and can guess at what a key signs: the app lists what he may use. What opens Pawl or the
 * database can never be used.
 */

import { realpathSync } from "node:fs";
import { resolve, sep } from "node:path";
import { PawlError } from "../../base/errors.ts";
import { refuseTooDeep } from "../../base/json-limits.ts";
import { isRecord } from "../../base/options.ts";
import { type FieldsOf, readOptions, withDefault } from "../../options/field.ts";
import { matching } from "../../options/kinds.ts";
import { list } from "../../options/parts.ts";
import { describeSecret, isSecretRef, readSecret, type SecretRef } from "../../secrets/secret.ts";
import type { Config } from "./config.ts";
import { isExpiring } from "./expiring-secrets.ts";
import type { DestinationType } from "./types.ts";

export interface OperatorOptions {
  /**
   * Names of variables; `*` matches any characters: `["ERP_*"]`. Default: any, for secrets of `webhook` and `rabbitmq` only;
   * none for headers, keys and your own types.
   */
  env?: readonly string[];
  /** Files, or folders with everything in them; default `["/run/secrets"]`. */
  files?: readonly string[];
}

export interface References {
  /** @throws PawlError `invalid_option` for a reference that operators may not use */
  refuse(where: string, type: DestinationType, config: Config): void;
  /** The same for the secrets of a key. @throws PawlError `invalid_option` */
  readonly refuseSecrets: (where: string, secrets: readonly SecretRef[]) => void;
}

const PATTERN = /^[A-Za-z_*][A-Za-z0-9_*]*$/;
/** Variables of Pawl and of the database. Nothing reads a `PAWL_TEST_…`. */
const NEVER =
  /^(?:PAWL_(?!TEST_)|PG[A-Z]+$)|DATABASE|POSTGRES|(?:^|_)(?:DB|PG)_(?:URL|URI|DSN|PASS)/i;
const NEVER_FILE = /^\/(?:proc|sys|dev)\/|\/kubernetes\.io\//;
const PASSWORD_CHARS_MIN = 6;
/** Types whose secrets never leave the process: a secret signs, or is a broker's URL and goes only to that broker. */
const KEEPS_SECRETS: ReadonlySet<string> = new Set(["webhook", "rabbitmq"]);

const FIELDS = {
  env: list(
    matching('the name of a variable such as "ERP_*"', (text) => PATTERN.test(text)),
    { isEmptyOk: true },
  ),
  files: withDefault(
    ["/run/secrets"],
    list(
      matching("a path", (text) => text !== ""),
      { isEmptyOk: true },
    ),
  ),
} satisfies FieldsOf<OperatorOptions>;

interface Reference {
  field: string;
  ref: SecretRef;
  /** Its value stays in the process. */
  isKept: boolean;
}

/** @param databaseUrl whose password no reference may give away. @throws PawlError `invalid_option` */
export function operatorReferences(options?: OperatorOptions, databaseUrl?: string): References {
  const permits = permitted(options);
  const refuseEach = (where: string, references: readonly Reference[]) => {
    for (const reference of references) {
      const why = isOurs(reference.ref, databaseUrl)
        ? "which opens Pawl or its database; operators may never use it"
        : permits(reference);
      if (why !== undefined) throw refused(where, reference, why);
    }
  };
  return {
    refuse: (where, type, config) => {
      refuseTooDeep(config, where);
      refuseEach(where, referencesIn(type, config));
    },
    refuseSecrets: (where, secrets) =>
      refuseEach(
        where,
        secrets.map((ref) => ({ field: "secret", ref, isKept: false })),
      ),
  };
}

function permitted(options: OperatorOptions = {}): (one: Reference) => string | undefined {
  const { env, files } = readOptions("operators", FIELDS, options);
  const names = (env ?? []).map((name) => new RegExp(`^${name.replaceAll("*", ".*")}$`));
  const isAnyName = env === undefined;
  return ({ ref, isKept }) => {
    if ("env" in ref) {
      const isFree = (isAnyName && isKept) || names.some((pattern) => pattern.test(ref.env));
      return isFree ? undefined : notListed("env", ref.env);
    }
    if (!("file" in ref)) return undefined;
    return files.some((one) => isIn(one, ref.file)) ? undefined : notListed("files", ref.file);
  };
}

function notListed(option: "env" | "files", value: string): string {
  return `which the app does not let operators use; permit it in the app: operators: { ${option}: [${JSON.stringify(value)}] }, or enter the secret itself`;
}

/** The target of a link counts: a listed path that leads out of the list is refused. */
function isIn(allowed: string, path: string): boolean {
  const [folder, file] = [real(allowed), real(path)];
  return file === folder || file.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`);
}

/** For a path that does not exist here, for example because only workers have it: the path as written. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

/** By its name, and by what it holds. */
function isOurs(ref: SecretRef, databaseUrl: string | undefined): boolean {
  if ("env" in ref && NEVER.test(ref.env)) return true;
  if ("file" in ref && isOurFile(ref.file)) return true;
  if (!("env" in ref || "file" in ref)) return false;
  const value = heldBy(ref);
  return value !== undefined && ourSecrets(databaseUrl).some((secret) => value.includes(secret));
}

function isOurFile(path: string): boolean {
  const ours = [process.env.PAWL_SECRET_KEY_FILE, process.env.PGPASSFILE].filter(Boolean);
  const leadsTo = real(path);
  return NEVER_FILE.test(leadsTo) || ours.some((one) => real(one ?? "") === leadsTo);
}

function ourSecrets(databaseUrl: string | undefined): string[] {
  const { PAWL_SECRET_KEY, DATABASE_URL, PGPASSWORD } = process.env;
  const passwords = [databaseUrl, DATABASE_URL].map(passwordIn);
  return [PAWL_SECRET_KEY, DATABASE_URL, databaseUrl, PGPASSWORD, ...passwords].filter(
    (one): one is string => one !== undefined && one.length >= PASSWORD_CHARS_MIN,
  );
}

function passwordIn(url: string | undefined): string | undefined {
  try {
    return decodeURIComponent(new URL(url ?? "").password);
  } catch {
    return undefined;
  }
}

function heldBy(ref: SecretRef): string | undefined {
  try {
    return readSecret(ref, "");
  } catch {
    return undefined;
  }
}

function referencesIn({ type, fields }: DestinationType, config: Config): Reference[] {
  return Object.entries(config).flatMap(([name, value]) => {
    const kind = fields[name]?.kind;
    const isSecret = kind === "secret" || kind === "secrets";
    const isKept = isSecret && KEEPS_SECRETS.has(type);
    return refsIn(name, value).map((one) => ({ ...one, isKept }));
  });
}

function refsIn(field: string, value: unknown): { field: string; ref: SecretRef }[] {
  if (isSecretRef(value)) return [{ field, ref: value }];
  if (isExpiring(value)) return refsIn(field, value.secret);
  if (Array.isArray(value)) return value.flatMap((one) => refsIn(field, one));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([name, one]) => refsIn(`${field}.${name}`, one));
}

function refused(where: string, { field, ref }: Reference, why: string): PawlError {
  return new PawlError(
    "invalid_option",
    `${where}: \`${field}\` refers to ${describeSecret(ref)}, ${why}`,
    { data: { option: field, reference: describeSecret(ref) } },
  );
}
