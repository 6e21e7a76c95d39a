/**
 * One look at the server of a data folder: is there one, does it answer, and is it really ours?
 * Looking changes nothing; what to do about it is decided by start, stop and status.
 */

import { access, stat } from "node:fs/promises";
import path from "node:path";
import { Client } from "pg";
import { answered } from "../connection.ts";
import { type Address, addressOf, addressUrl, ROLE, socketPath, usesSocket } from "./address.ts";
import { readPlain } from "./own-file.ts";
import { type PidFile, processState, readPidFile } from "./pid-file.ts";
import type { Place } from "./place.ts";
import { errorCodeOf } from "./system-error.ts";

/** A server that has not answered by then counts as silent. */
const ANSWER_MS_MAX = 15_000;
/** What is asked of one that answers may take longer: making a database is a copy of files, written to disk. */
const WORK_MS_MAX = 120_000;
const PROBE_NAME = "pawl embedded";

export interface AnsweringServer {
  kind: "answering";
  pidFile: PidFile;
  url: string;
  version: string;
  /** Open; whoever looked must end it. */
  client: Client;
}

export interface SilentServer {
  kind: "silent";
  pidFile: PidFile;
  /** The process is proven to be a server of this folder. */
  isOurs: boolean;
  isSocketGone: boolean;
  error: unknown;
}

export type Sighting =
  | { kind: "absent" }
  /** `mayRemove`: PostgreSQL itself would take the process for a server, and it surely is not. */
  | { kind: "stale"; pidFile: PidFile; mayRemove: boolean }
  | AnsweringServer
  | SilentServer;

export async function lookForServer(place: Place): Promise<Sighting> {
  const { dataDir } = place;
  const pidFile = await readPidFile(dataDir);
  if (pidFile === undefined) return { kind: "absent" };
  const state = await processState(pidFile.pid, dataDir);
  if (state === "gone") return { kind: "stale", pidFile, mayRemove: false };
  if (state === "zombie" || state === "other") return { kind: "stale", pidFile, mayRemove: true };
  const address = addressOf(pidFile, await readPassword(place));
  try {
    const answer = await ask(address);
    if (await isSameFolder(answer.dataDir, dataDir)) {
      const { client, version } = answer;
      return { kind: "answering", pidFile, url: addressUrl(address), version, client };
    }
    await answer.client.end();
    return { kind: "stale", pidFile, mayRemove: state !== "ours" };
  } catch (error) {
    const isSocketGone = await isMissing(socketPath(address));
    return { kind: "silent", pidFile, isOurs: state === "ours", isSocketGone, error };
  }
}

/** Undefined where a socket is used: its folder is private, nobody else gets that far. */
export async function readPassword(place: Place): Promise<string | undefined> {
  if (usesSocket) return undefined;
  const text = await readPlain(passwordFile(place)).catch(() => undefined);
  return text?.trim();
}

export function passwordFile(place: Place): string {
  return path.join(place.home, "password");
}

async function ask(
  address: Address,
): Promise<{ client: Client; dataDir: string; version: string }> {
  const client = new Client({
    ...address,
    user: ROLE,
    database: "postgres", // not ours: this connection must never block a drop or a copy of that
    ssl: false,
    application_name: PROBE_NAME,
    options: "-c statement_timeout=0", // says nothing, but keeps a `PGOPTIONS` meant for another server away
    connectionTimeoutMillis: ANSWER_MS_MAX,
    query_timeout: WORK_MS_MAX,
  });
  client.on("error", () => undefined); // the server was stopped: the next query tells
  try {
    await client.connect();
    const text = `select current_setting('data_directory') as "dataDir", current_setting('server_version') as version`;
    const { rows } = await answered(client, { text }, ANSWER_MS_MAX);
    const found = rows[0] as { dataDir: string; version: string } | undefined;
    return { client, dataDir: found?.dataDir ?? "", version: found?.version ?? "" };
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

async function isSameFolder(a: string, b: string): Promise<boolean> {
  if (path.resolve(a) === path.resolve(b)) return true;
  const [first, second] = await Promise.all(
    [a, b].map((file) => stat(file).catch(() => undefined)),
  );
  if (first === undefined || second === undefined) return false;
  return first.ino === second.ino && first.dev === second.dev;
}

async function isMissing(file: string | undefined): Promise<boolean> {
  if (file === undefined) return false;
  return access(file).then(
    () => false,
    (error: unknown) => errorCodeOf(error) === "ENOENT",
  );
}
