/** `pawl keys`: what requests are signed with. Keys of code are only shown; those of operators are kept sealed, or by reference. */

import { text as readAll } from "node:stream/consumers";
import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import { seal } from "../base/seal.ts";
import { describeSecret, parseSecretRef, type SecretRef } from "../base/secret.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import { keyContext, storedKey } from "../requests/dispatch/key-ring.ts";
import { addKey, keyRows, removeKey, rotateKey } from "../requests/dispatch/sql.ts";
import { checkKey, defineKey, type JwtAlgorithm } from "../requests/keys/index.ts";
import { actOf, withAct } from "./act.ts";
import { type Call, command, does, withStore } from "./command.ts";
import { reseal } from "./keys-reseal.ts";
import type { Answer } from "./output.ts";
import { iso, table } from "./table.ts";
import { oneOf, wholeNumber } from "./values.ts";

const ALGORITHMS = ["HS512", "HS256", "EdDSA", "RS512"] as const satisfies readonly JwtAlgorithm[];
const KEEP_DEFAULT = 1;
const KEEP_MAX = 15;
const SECRET_HELP = `
The secret is never an argument: --secret names a variable or a file of the workers (env:CRM_KEY, file:/run/secrets/crm);
without it the secret is read from stdin and kept sealed, which needs PAWL_SECRET_KEY here and at every worker.`;

export function keysCommand(): Command {
  return command(
    "keys",
    "Look at the keys that requests are signed with; add, rotate, remove them, seal them anew",
  )
    .addCommand(list())
    .addCommand(add())
    .addCommand(rotate())
    .addCommand(remove())
    .addCommand(reseal());
}

function list(): Command {
  const made = command("list", "List the keys of the config's app and those of operators", [
    ["pawl keys list", "secrets are never shown"],
  ]);
  return does(made, async (call) => {
    const code = [...((await call.app())?.keys.values() ?? [])];
    const stored = await withStore(call, keyRows);
    const names = new Set(code.map((one) => one.name));
    const rows = [
      ...code.map((key) => ({ ...shownKey(key), by: "code", changed: null })),
      ...stored.map((row) => ({
        ...shownKey({ ...row, kid: row.kid ?? undefined }),
        by: names.has(row.name) ? `${row.changed_by}, replaced by the code's` : row.changed_by,
        changed: row.changed_at,
      })),
    ];
    const text = table(rows, [
      { head: "NAME", value: (row) => row.name },
      { head: "ALGORITHM", value: (row) => row.algorithm },
      { head: "KID", value: (row) => row.kid },
      { head: "SECRETS", value: (row) => row.secrets.join(", ") },
      { head: "BY", value: (row) => row.by },
      { head: "CHANGED", value: (row) => iso(row.changed) },
    ]);
    return { json: { keys: rows }, text };
  });
}

function shownKey(key: {
  name: string;
  algorithm: JwtAlgorithm;
  kid: string | undefined;
  secrets: readonly (string | SecretRef)[];
}) {
  const { name, algorithm, kid } = key;
  return { name, algorithm, kid: kid ?? null, secrets: key.secrets.map(describeSecret) };
}

interface AddOptions extends Act {
  algorithm: JwtAlgorithm;
  kid?: string;
  secret?: string;
}

function add(): Command {
  const made = command("add <name>", "Add a key; requests can name it at once", [
    ["pawl keys add crm --secret env:CRM_KEY", "read by each worker from its environment"],
    ["openssl rand -hex 64 | pawl keys add crm", "kept sealed in the database"],
  ])
    .option("--algorithm <name>", ALGORITHMS.join(", "), oneOf("--algorithm", ALGORITHMS), "HS512")
    .option("--kid <id>", "stands in the header of each token")
    .option("--secret <ref>", "env:NAME or file:/path; without it, read from stdin")
    .addHelpText("after", SECRET_HELP);
  return does<AddOptions>(withAct(made), async (call, options) => {
    const name = await nameOf(call);
    const { algorithm, kid } = options;
    const secret = await secretOf(name, options.secret, { algorithm, kid });
    await withStore(call, (store) =>
      addKey(store, { name, algorithm, kid, secret }, actOf(options)),
    );
    return said("add", name, `key "${name}": added (${algorithm}, ${describeSecret(secret)})`);
  });
}

interface RotateOptions extends Act {
  kid?: string;
  secret?: string;
  keep: number;
}

function rotate(): Command {
  const made = command("rotate <name>", "Sign with a new secret from now on", [
    ["openssl rand -hex 64 | pawl keys rotate crm", "first tell the receiver to accept both"],
    ["pawl keys rotate crm --keep 0 --secret env:CRM_KEY_2", "forget the previous one"],
  ])
    .option("--kid <id>", "another one in the header of each token")
    .option("--secret <ref>", "env:NAME or file:/path; without it, read from stdin")
    .option(
      "--keep <n>",
      "how many of the previous secrets stay known",
      wholeNumber("--keep", KEEP_MAX, 0),
      KEEP_DEFAULT,
    )
    .addHelpText("after", SECRET_HELP);
  return does<RotateOptions>(withAct(made), async (call, options) => {
    const name = await nameOf(call);
    const { kid, keep } = options;
    return withStore(call, async (store) => {
      const row = (await keyRows(store)).find((one) => one.name === name);
      if (row === undefined) throw noKey(name);
      const { algorithm } = row;
      const secret = await secretOf(name, options.secret, { algorithm, kid });
      const isDone = await rotateKey(store, { name, kid, secret, keep }, actOf(options));
      if (!isDone) throw noKey(name);
      return said("rotate", name, `key "${name}": signs with a new secret`);
    });
  });
}

function remove(): Command {
  const made = command("remove <name>", "Remove a key; requests that name it wait, uncounted", [
    ["pawl keys remove crm", "until there is one of this name again"],
  ]);
  return does<Act>(withAct(made), async (call, options) => {
    const name = await nameOf(call);
    const isDone = await withStore(call, (store) => removeKey(store, name, actOf(options)));
    if (!isDone) throw noKey(name);
    return said("remove", name, `key "${name}": removed`);
  });
}

/** @throws PawlError `owned_by_code` */
async function nameOf(call: Call): Promise<string> {
  const name = call.args[0] ?? "";
  const app = await call.app();
  if (app?.keys.has(name) !== true) return name;
  throw new PawlError(
    "owned_by_code",
    `key "${name}": the code of app "${app.name}" defines it; change it in \`keys\` there`,
    { data: { key: name } },
  );
}

/** Checked as far as it can be here: what is read at the workers may not be readable on this machine. */
async function secretOf(
  name: string,
  ref: string | undefined,
  { algorithm, kid }: { algorithm: JwtAlgorithm; kid: string | undefined },
): Promise<SecretRef> {
  const options = { algorithm, ...(kid !== undefined && { kid }) };
  if (ref !== undefined) {
    const secret = parseSecretRef(ref);
    // the value is not shown: it may be the secret itself
    if (secret === undefined) throw badSecret("--secret to be env:NAME or file:/path");
    defineKey(name, { ...options, secret });
    return secret;
  }
  if (process.stdin.isTTY) throw badSecret("the secret on stdin, or --secret env:NAME");
  const plain = (await readAll(process.stdin)).replace(/\r?\n$/, "");
  if (plain === "") throw badSecret("the secret on stdin, got nothing");
  checkKey(defineKey(name, { ...options, secret: plain }));
  const secret = seal(plain, keyContext(name));
  checkKey(storedKey({ name, algorithm, kid: kid ?? null, secrets: [secret], ...UNSAVED }));
  return secret;
}

const UNSAVED = { changed_at: new Date(0), changed_by: "" };

function badSecret(expected: string): PawlError {
  return new PawlError("invalid_option", `pawl keys: expected ${expected}`, {
    data: { option: "--secret" },
  });
}

function noKey(name: string): PawlError {
  return new PawlError(
    "key_not_found",
    `key "${name}": operators have made none of this name; see \`pawl keys list\``,
    { data: { key: name } },
  );
}

function said(action: string, key: string, text: string): Answer {
  return { json: { action, key }, text };
}
