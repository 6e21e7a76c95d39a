/**
 * The keys that requests may name: those of the app's code, and those that operators made. A name of the code wins.
 * What operators change reaches the next try within a second.
 */

import { PawlError, shown } from "../../base/errors.ts";
import { didYouMean } from "../../base/suggest.ts";
import { refuseForeignSeals } from "../../secrets/seal.ts";
import type { SecretRef } from "../../secrets/secret.ts";
import type { Executor } from "../../store/executor.ts";
import { defineKey, type JwtKey } from "../keys/index.ts";
import { whatOf } from "../keys/key.ts";
import { type KeyRow, keyRows } from "./sql.ts";

/** How old what is known of operators' keys may be. */
const FRESH_MS = 1_000;

export interface KeyRing {
  find(name: string): Promise<JwtKey | undefined>;
  /** For a call that names a key. @throws PawlError `invalid_option` with the nearest name */
  require(name: string): Promise<void>;
}

/** Refuses the secret of an operator's key that the app does not let operators use. @throws PawlError `invalid_option` */
export type RefuseSecrets = (where: string, secrets: readonly SecretRef[]) => void;

/** @param refuse asked at each signing: a file, or a link to it, may be another one by then */
export function keyRing(
  executor: Executor,
  own: ReadonlyMap<string, JwtKey>,
  refuse: RefuseSecrets,
): KeyRing {
  let rows: Promise<KeyRow[]> | undefined;
  let readAt = Number.NEGATIVE_INFINITY;
  const operators = async (): Promise<KeyRow[]> => {
    if (rows === undefined || performance.now() - readAt > FRESH_MS) {
      readAt = performance.now();
      rows = keyRows(executor);
      rows.catch(() => {
        rows = undefined;
      });
    }
    return rows;
  };
  return {
    find: async (name) => {
      const code = own.get(name);
      if (code !== undefined) return code;
      const row = (await operators()).find((one) => one.name === name);
      if (row === undefined) return undefined;
      refuse(whatOf(name), row.secrets.slice(0, 1));
      return storedKey(row);
    },
    require: async (name) => {
      if (own.has(name)) return;
      const names = (await operators()).map((row) => row.name);
      if (names.includes(name)) return;
      throw new PawlError(
        "invalid_option",
        `request: \`jwt.key\`: no key ${shown(name)}; ${didYouMean(name, [...own.keys(), ...names])}; define it in \`keys\` of the app, or add it with \`pawl keys add\``,
        { data: { option: "jwt.key", key: name } },
      );
    },
  };
}

/** Where its sealed secrets belong. */
export function keyContext(name: string): string {
  return `key:${name}`;
}

/** @throws PawlError `invalid_option` for what cannot be used */
export function storedKey({ name, algorithm, kid, secrets }: KeyRow): JwtKey {
  refuseForeignSeals(secrets, keyContext(name));
  return defineKey(name, { algorithm, secret: secrets, ...(kid !== null && { kid }) });
}
