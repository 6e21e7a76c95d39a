/** What `pawl.keys` offers. */

import type { ActOptions, Desk } from "../../../operate/verb.ts";
import type { SecretHolder } from "../../../secrets/reseal.ts";
import type { SecretRef } from "../../../secrets/secret.ts";
import type { Executor } from "../../../store/executor.ts";
import type { RefuseSecrets } from "../../dispatch/key-ring.ts";
import type { JwtAlgorithm, JwtKey } from "../../keys/index.ts";

export interface KeysDesk extends Desk {
  /** Keys of the app's code. */
  keys: ReadonlyMap<string, JwtKey>;
  application: string | null;
  /** Refuses references that the app does not allow operators. */
  refuseSecrets: RefuseSecrets;
  /** What else holds secrets that operators entered. */
  otherSecrets: (executor: Executor) => Promise<SecretHolder[]>;
}

/** A key, without its secrets. */
export interface KeyInfo {
  name: string;
  algorithm: JwtAlgorithm;
  /** Put into the header of each token. */
  kid: string | null;
  /** Where each secret comes from, the current one first: `env:CRM_KEY`, `stored` … */
  secrets: string[];
  /** `code`, or who changed it. */
  by: string;
  changed: Date | null;
}

/** Text is stored sealed, which needs PAWL_SECRET_KEY here and at every worker. */
export type KeySecret = string | SecretRef;

export interface AddKey extends ActOptions {
  secret: KeySecret;
  /** Default HS512. */
  algorithm?: JwtAlgorithm;
  kid?: string;
}

export interface RotateKey extends ActOptions {
  secret: KeySecret;
  kid?: string;
  /** How many previous secrets are kept, 0 to 15; default 1. */
  keep?: number;
}

export interface ChangedKey {
  key: string;
}

export interface AddedKey extends ChangedKey {
  algorithm: JwtAlgorithm;
  /** Where the secret comes from. */
  secret: string;
}

export interface ResealedKeys {
  /** What was resealed, such as `key crm` or `destination erp`. */
  resealed: string[];
}

/** `pawl.keys`: keys that sign requests. Keys defined in code are only shown. */
export interface Keys {
  list(): Promise<KeyInfo[]>;
  /** Adds a key; requests can use it at once. @throws PawlError `owned_by_code`, `duplicate_name`, `invalid_option` */
  add(name: string, options: AddKey): Promise<AddedKey>;
  /** Signs with a new secret from now on. @throws PawlError `owned_by_code`, `key_not_found`, `invalid_option` */
  rotate(name: string, options: RotateKey): Promise<ChangedKey>;
  /** Removes a key; requests that use it wait, and lose no attempts. @throws PawlError `owned_by_code`, `key_not_found` */
  remove(name: string, options?: ActOptions): Promise<ChangedKey>;
  /**
   * Seals secrets that operators entered again, with the first key of PAWL_SECRET_KEY.
   * @throws PawlError `not_resealed`, `invalid_environment`
   */
  reseal(options?: ActOptions): Promise<ResealedKeys>;
}
