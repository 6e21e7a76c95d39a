/** The secret of an operator's key: never shown, never an argument; kept by reference, or sealed. */

import { PawlError } from "../../../base/errors.ts";
import type { Terminal } from "../../../operate/verb.ts";
import { type Field, field, wrongSecret } from "../../../options/field.ts";
import { seal } from "../../../secrets/seal.ts";
import { isSecretRef, parseSecretRef, type SecretRef } from "../../../secrets/secret.ts";
import { keyContext, storedKey } from "../../dispatch/key-ring.ts";
import { checkKey, defineKey, type JwtAlgorithm } from "../../keys/index.ts";
import type { KeySecret } from "./keys.ts";

const UNSAVED = { changed_at: new Date(0), changed_by: "" };

/** As code gives it, or as a reference when typed. No message shows its value: it may hold the secret itself. */
export const SECRET: Field<KeySecret> = field({
  kind: "secret",
  help: "env:NAME or file:/path; without it, read from stdin",
  shape: "ref",
  expected: 'a text, env("NAME") or file("/path")',
  isSecret: true,
  read: (given) => (typeof given === "string" || isSecretRef(given) ? given : undefined),
  fromText: (text, place) => {
    const ref = parseSecretRef(text);
    if (ref === undefined) throw wrongSecret(place, "env:NAME or file:/path", text);
    return ref;
  },
});

/** What was typed, else all of stdin. */
export async function typedSecret(
  ref: KeySecret | undefined,
  terminal: Terminal,
): Promise<KeySecret> {
  if (ref !== undefined) return ref;
  const plain = await terminal.readPiped();
  if (plain === undefined) throw badSecret("the secret on stdin, or --secret env:NAME");
  if (plain === "") throw badSecret("the secret on stdin, got nothing");
  return plain;
}

/** Checked as far as it can be here: what is read at the workers may not be readable on this machine. */
export function keptSecret(
  name: string,
  given: KeySecret,
  { algorithm, kid }: { algorithm: JwtAlgorithm; kid: string | undefined },
): SecretRef {
  const options = { algorithm, ...(kid !== undefined && { kid }) };
  const row = { name, algorithm, kid: kid ?? null, ...UNSAVED };
  if (typeof given !== "string") {
    storedKey({ ...row, secrets: [given] });
    return given;
  }
  checkKey(defineKey(name, { ...options, secret: given }));
  const secret = seal(given, keyContext(name));
  checkKey(storedKey({ ...row, secrets: [secret] }));
  return secret;
}

function badSecret(expected: string): PawlError {
  return new PawlError("invalid_option", `pawl keys: expected ${expected}`, {
    data: { option: "--secret" },
  });
}
