/** Every statement about requests and operators' keys: one function each. The work is in `src/requests/sql`. */

import type { ErrorJson } from "../../base/error-json.ts";
import type { EnqueueRow } from "../../kernel/sql.ts";
import { results } from "../../operate/results.ts";
import type { Act } from "../../operate/sql.ts";
import type { SecretRef } from "../../secrets/secret.ts";
import type { Executor } from "../../store/executor.ts";
import type { JwtAlgorithm } from "../keys/index.ts";

/** `requests` is the JSON text of an array. `xid` null: no check; otherwise answers no row unless in that transaction. */
export function sendRequests(
  executor: Executor,
  requests: string,
  xid: string | null,
): Promise<EnqueueRow[]> {
  return executor.rows(
    "select id, outcome from pawl.send_v1($1::pg_catalog.text::pg_catalog.jsonb, $2)",
    [requests, xid],
  );
}

/** The expiry of a live task; a dead letter that was retried after its expiry has none any more. */
export async function expiryOf(
  executor: Executor,
  id: string,
): Promise<{ expiresAt: Date | null; isOver: boolean } | undefined> {
  const [row] = await executor.rows<{ expires_at: Date | null; is_over: boolean }>(
    "select t.expires_at, coalesce(t.expires_at <= pawl.now(), false) as is_over from pawl.task_live_v1 t where t.id = $1",
    [id],
  );
  return row === undefined ? undefined : { expiresAt: row.expires_at, isOver: row.is_over };
}

export const REQUEST_STATES = [
  "ready",
  "scheduled",
  "running",
  "done",
  "dead",
  "cancelled",
  "removed",
] as const;
export type RequestState = (typeof REQUEST_STATES)[number];

export interface RequestRow {
  id: string;
  state: RequestState;
  /** Why it is dead; null if it is not. */
  reason: string | null;
  method: string;
  url: string;
  host: string;
  company: string | null;
  plugin: string | null;
  /** Number of attempts: those that ended, and the one that runs. */
  attempt: number;
  attempts: number;
  createdAt: Date;
  runAt: Date;
  expiresAt: Date | null;
  endedAt: Date | null;
  /** Status of the last answer. */
  status: number | null;
  error: ErrorJson | null;
}

export interface RequestFilter {
  id?: string | undefined;
  host?: string | undefined;
  company?: string | undefined;
  plugin?: string | undefined;
  state?: RequestState | undefined;
  limit: number;
}

/** The newest first. */
export function requests(
  executor: Executor,
  { id, host, company, plugin, state, limit }: RequestFilter,
): Promise<RequestRow[]> {
  return results(executor, "select * from pawl.requests_v1($1, $2, $3, $4, $5, $6)", [
    id ?? null,
    host ?? null,
    company ?? null,
    plugin ?? null,
    state ?? null,
    limit,
  ]);
}

export interface KeyRow {
  name: string;
  algorithm: JwtAlgorithm;
  kid: string | null;
  /** The current one first; those that operators typed in are sealed. */
  secrets: SecretRef[];
  changed_at: Date;
  changed_by: string;
}

export function keyRows(executor: Executor): Promise<KeyRow[]> {
  return executor.rows(
    "select name, algorithm, kid, secrets, changed_at, changed_by from pawl.key order by name",
  );
}

/** Replaces secrets by the same ones in another form. @returns false if they were changed meanwhile */
export async function replaceSecrets(
  executor: Executor,
  name: string,
  { before, after }: { before: readonly SecretRef[]; after: readonly SecretRef[] },
): Promise<boolean> {
  const rows = await executor.rows(
    "update pawl.key set secrets = $3::jsonb where name = $1 and secrets = $2::jsonb returning name",
    [name, JSON.stringify(before), JSON.stringify(after)],
  );
  return rows.length > 0;
}

export interface KeyToPut {
  name: string;
  algorithm: JwtAlgorithm;
  kid: string | undefined;
  secret: SecretRef;
}

/** @throws PawlError when there is one of this name already */
export async function addKey(executor: Executor, key: KeyToPut, act: Act): Promise<void> {
  await executor.rows("select pawl.add_key_v1($1, $2, $3, $4, $5, $6)", [
    key.name,
    key.algorithm,
    key.kid ?? null,
    JSON.stringify(key.secret),
    act.by,
    act.why ?? null,
  ]);
}

/** The new secret signs from now on; the previous ones are kept as such. @returns false: there is no such key */
export async function rotateKey(
  executor: Executor,
  key: { name: string; kid: string | undefined; secret: SecretRef; keep: number },
  act: Act,
): Promise<boolean> {
  const [row] = await executor.rows<{ is_done: boolean }>(
    "select pawl.rotate_key_v1($1, $2, $3, $4, $5, $6) as is_done",
    [key.name, key.kid ?? null, JSON.stringify(key.secret), key.keep, act.by, act.why ?? null],
  );
  return row?.is_done ?? false;
}

/** @returns false: there is no such key */
export async function removeKey(executor: Executor, name: string, act: Act): Promise<boolean> {
  const [row] = await executor.rows<{ is_done: boolean }>(
    "select pawl.remove_key_v1($1, $2, $3) as is_done",
    [name, act.by, act.why ?? null],
  );
  return row?.is_done ?? false;
}
