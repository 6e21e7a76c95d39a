// The one server of a run: `DATABASE_URL`, else an embedded one with its durable defaults in a folder of its own.
// Every subject gets a database of its own in it, made fresh and dropped after; nothing else is touched.
import { chmodSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import pg from "pg";
import { startEmbedded, stopEmbedded } from "../dist/store/embedded/index.js";

const FOLDERS = join(import.meta.dirname, ".pawl");
const PREFIX = "run-";
const INSUFFICIENT_PRIVILEGE = "42501";

export async function openServer() {
  const given = process.env.DATABASE_URL;
  const embedded = given ? undefined : await startOwn();
  const url = given || embedded.url;
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  const names = new Set();
  let made = 0;
  let closed;
  const drop = async (name) => {
    await admin.query(`drop database if exists ${name} with (force)`);
    names.delete(name);
  };
  const close = async () => {
    for (const name of names) await drop(name);
    await admin.end();
    await embedded?.remove();
  };
  return {
    admin,
    isEmbedded: embedded !== undefined,
    version: (await admin.query("show server_version")).rows[0].server_version,
    /** Runs `work(url, name)` on a database of its own. */
    withDatabase: async (work) => {
      made += 1;
      const name = `pawl_bench_${process.pid}_${made}`;
      names.add(name);
      await admin.query(`create database ${name}`);
      try {
        return await work(urlOf(url, name), name);
      } finally {
        await drop(name);
      }
    },
    /** Runs `work(client)` on a connection of its own. */
    withClient: async (database, work) => {
      const client = new pg.Client({ connectionString: database });
      await client.connect();
      try {
        return await work(client);
      } finally {
        await client.end();
      }
    },
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/** True when it was allowed: some settings and commands want a superuser. */
export async function tryQuery(client, text) {
  try {
    await client.query(text);
    return true;
  } catch (error) {
    if (error.code === INSUFFICIENT_PRIVILEGE) return false;
    throw error;
  }
}

async function startOwn() {
  await removeAbandoned();
  const dir = join(FOLDERS, `${PREFIX}${process.pid}`);
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o755); // as root, the server runs as somebody else
  const server = await startEmbedded({ dir });
  return { url: server.url, remove: () => stopAndRemove(dir) };
}

async function stopAndRemove(dir) {
  const { dataDir } = await stopEmbedded({ dir });
  rmSync(dirname(dataDir), { recursive: true, force: true });
  rmSync(dir, { recursive: true, force: true });
}

/** A run that was killed leaves its server behind; the folder's name tells whose it was. */
async function removeAbandoned() {
  mkdirSync(FOLDERS, { recursive: true });
  for (const name of readdirSync(FOLDERS)) {
    if (!name.startsWith(PREFIX) || isAlive(Number(name.slice(PREFIX.length)))) continue;
    await stopAndRemove(join(FOLDERS, name)).catch(() => undefined);
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** `postgresql://user@/name?host=…` is no URL to `new URL`: the path is replaced as text. */
function urlOf(server, database) {
  return server.replace(/^(postgres(?:ql)?:\/\/[^/?]*)(?:\/[^?]*)?/, `$1/${database}`);
}
