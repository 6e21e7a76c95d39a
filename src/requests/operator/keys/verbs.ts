/** The noun `keys`: what requests are signed with. Keys of code are only shown; those of operators are kept sealed, or by reference. */

import { PawlError } from "../../../base/errors.ts";
import { iso, table } from "../../../operate/table.ts";
import { type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required, withDefault } from "../../../options/field.ts";
import { choice, integer, name } from "../../../options/kinds.ts";
import { describeSecret, type SecretRef } from "../../../secrets/secret.ts";
import { addKey, keyRows, removeKey, rotateKey } from "../../dispatch/sql.ts";
import type { JwtAlgorithm } from "../../keys/index.ts";
import { whatOf } from "../../keys/key.ts";
import type { AddedKey, ChangedKey, KeyInfo, Keys, KeysDesk } from "./keys.ts";
import { reseal } from "./reseal.ts";
import { keptSecret, SECRET, typedSecret } from "./secret.ts";

const ALGORITHMS = ["HS512", "HS256", "EdDSA", "RS512"] as const satisfies readonly JwtAlgorithm[];
const KEEP_DEFAULT = 1;
const KEEP_MAX = 15;
const SECRET_HELP = `The secret is never an argument: --secret names a variable or a file of the workers (env:CRM_KEY, file:/run/secrets/crm) that
the app lets operators use (operators: { env, files });
without it the secret is read from stdin and kept sealed, which needs PAWL_SECRET_KEY here and at every worker.`;
const NAME = required(name("the key"));

const list: Verb<Keys["list"], KeysDesk> = verb({
  help: "List the keys of the config's app and those that operators added",
  examples: [["pawl keys list", "secrets are never shown"]],
  input: {},
  run: async ({ store, keys }: KeysDesk): Promise<KeyInfo[]> => {
    const code = [...keys.values()];
    const stored = await keyRows(store);
    return [
      ...code.map((key) => ({ ...shownKey(key), by: "code", changed: null })),
      ...stored.map((row) => ({
        ...shownKey(row),
        by: keys.has(row.name) ? `${row.changed_by}, replaced by the code's` : row.changed_by,
        changed: row.changed_at,
      })),
    ];
  },
  json: (rows) => ({ keys: rows }),
  text: (rows: KeyInfo[]) =>
    table(rows, [
      { head: "NAME", value: (row) => row.name },
      { head: "ALGORITHM", value: (row) => row.algorithm },
      { head: "KID", value: (row) => row.kid },
      { head: "SECRETS", value: (row) => row.secrets.join(", ") },
      { head: "BY", value: (row) => row.by },
      { head: "CHANGED", value: (row) => iso(row.changed) },
    ]),
});

function shownKey(key: {
  name: string;
  algorithm: JwtAlgorithm;
  kid: string | null | undefined;
  secrets: readonly (string | SecretRef)[];
}) {
  const { name: of, algorithm, kid } = key;
  return { name: of, algorithm, kid: kid ?? null, secrets: key.secrets.map(describeSecret) };
}

const ADD = {
  name: NAME,
  algorithm: withDefault("HS512", choice<JwtAlgorithm>(ALGORITHMS)),
  kid: name("the key id in the header of each token", "id"),
} as const;

const add: Verb<Keys["add"], KeysDesk> = verb({
  help: "Add a key; requests can use it at once",
  more: SECRET_HELP,
  examples: [
    ["pawl keys add crm --secret env:CRM_KEY", "read by each worker from its environment"],
    ["openssl rand -hex 64 | pawl keys add crm", "kept sealed in the database"],
  ],
  input: { ...ADD, secret: required(SECRET) },
  args: ["name"],
  form: {
    input: { ...ADD, secret: SECRET },
    args: ["name"],
    given: async ({ secret, ...key }, { base, terminal }) => {
      refuseOfCode(await base(), key.name); // before anybody types a secret
      return { ...key, secret: await typedSecret(secret, terminal) };
    },
  },
  changes: true,
  run: async (desk: KeysDesk, input, act): Promise<AddedKey> => {
    const { name: key, algorithm, kid } = input;
    refuseOfCode(desk, key);
    const secret = keptSecret(key, input.secret, { algorithm, kid });
    desk.refuseSecrets(whatOf(key), [secret]);
    await addKey(desk.store, { name: key, algorithm, kid, secret }, act);
    return { key, algorithm, secret: describeSecret(secret) };
  },
  json: ({ key }) => ({ action: "add", key }),
  text: ({ key, algorithm, secret }) => `key "${key}": added (${algorithm}, ${secret})`,
});

const ROTATE = {
  name: NAME,
  kid: name("a new key id for the header of each token", "id"),
  keep: withDefault(
    KEEP_DEFAULT,
    integer({ help: "how many previous secrets to keep", min: 0, max: KEEP_MAX }),
  ),
} as const;

const rotate: Verb<Keys["rotate"], KeysDesk> = verb({
  help: "Sign with a new secret from now on",
  more: SECRET_HELP,
  examples: [
    ["openssl rand -hex 64 | pawl keys rotate crm", "first tell the receiver to accept both"],
    ["pawl keys rotate crm --keep 0 --secret env:CRM_KEY_2", "forget the previous one"],
  ],
  input: { ...ROTATE, secret: required(SECRET) },
  args: ["name"],
  form: {
    input: { ...ROTATE, secret: SECRET },
    args: ["name"],
    given: async ({ secret, ...key }, { base, terminal }) => {
      await rotatable(await base(), key.name); // before anybody types a secret
      return { ...key, secret: await typedSecret(secret, terminal) };
    },
  },
  changes: true,
  run: async (desk: KeysDesk, input, act): Promise<ChangedKey> => {
    const { name: key, kid, keep } = input;
    const row = await rotatable(desk, key);
    const secret = keptSecret(key, input.secret, { algorithm: row.algorithm, kid });
    desk.refuseSecrets(whatOf(key), [secret]);
    const isDone = await rotateKey(desk.store, { name: key, kid, secret, keep }, act);
    if (!isDone) throw noKey(key);
    return { key };
  },
  json: ({ key }) => ({ action: "rotate", key }),
  text: ({ key }) => `key "${key}": signs with a new secret`,
});

const remove: Verb<Keys["remove"], KeysDesk> = verb({
  help: "Remove a key; requests that use it wait, and their attempts do not count",
  examples: [["pawl keys remove crm", "until there is one of this name again"]],
  input: { name: NAME },
  args: ["name"],
  changes: true,
  run: async (desk: KeysDesk, { name: key }, act): Promise<ChangedKey> => {
    refuseOfCode(desk, key);
    if (!(await removeKey(desk.store, key, act))) throw noKey(key);
    return { key };
  },
  json: ({ key }) => ({ action: "remove", key }),
  text: ({ key }) => `key "${key}": removed`,
});

/** @throws PawlError `owned_by_code` */
function refuseOfCode({ keys, application }: KeysDesk, key: string): void {
  if (!keys.has(key)) return;
  throw new PawlError(
    "owned_by_code",
    `key "${key}": the code of app "${application}" defines it; change it in \`keys\` there`,
    { data: { key } },
  );
}

async function rotatable(desk: KeysDesk, key: string) {
  refuseOfCode(desk, key);
  const row = (await keyRows(desk.store)).find((one) => one.name === key);
  if (row === undefined) throw noKey(key);
  return row;
}

function noKey(key: string): PawlError {
  return new PawlError(
    "key_not_found",
    `key "${key}": operators have made none of this name; see \`pawl keys list\``,
    { data: { key } },
  );
}

export const keysNoun: Noun<Keys, KeysDesk> = {
  name: "keys",
  help: "Look at the keys that sign requests; add, rotate, remove and reseal them",
  verbs: { list, add, rotate, remove, reseal },
};
