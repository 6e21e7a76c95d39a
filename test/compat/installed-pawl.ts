/** Pawl as an app has it: a copy of what is built, beside the libraries, so that it finds them as it would there. */

import { cpSync, existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

type Pawl = typeof import("pawl");
type Webhooks = typeof import("pawl/webhooks");

const DIST = join(import.meta.dirname, "../../dist");
const MODULES = join(import.meta.dirname, "node_modules");
const PREFIX = ".copy-of-pawl-";

/** The folder of this build's copy. Two processes may make it at once. */
export function pawlFolder(): string {
  const name = `${PREFIX}${Math.trunc(statSync(join(DIST, "index.js")).mtimeMs)}`;
  const folder = join(MODULES, name);
  if (existsSync(folder)) return folder;
  const old = readdirSync(MODULES).filter((one) => one.startsWith(PREFIX) && !one.startsWith(name));
  for (const one of old) rmSync(join(MODULES, one), { recursive: true, force: true });
  const draft = `${folder}.${process.pid}`;
  const filter = (source: string) => !/\.(?:map|d\.ts)$/.test(source);
  cpSync(join(DIST, "../package.json"), join(draft, "package.json"));
  cpSync(DIST, join(draft, "dist"), { recursive: true, filter });
  try {
    renameSync(draft, folder);
  } catch {
    rmSync(draft, { recursive: true }); // the other process was first
  }
  return folder;
}

export async function installedPawl(): Promise<Pawl & Pick<Webhooks, "isFirst" | "SEEN_TABLE">> {
  const folder = pawlFolder();
  const load = (file: string) => import(pathToFileURL(join(folder, "dist", file)).href);
  const webhooks: Webhooks = await load("webhooks/index.js");
  return { ...((await load("index.js")) as Pawl), ...webhooks };
}
