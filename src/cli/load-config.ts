/** Finds and loads `pawl.config.ts` (or .mts, .js, .mjs), on Node 20 too, which cannot run TypeScript by itself. */

import { existsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createJiti } from "jiti";
import { isApp } from "../app/define-app.ts";
import type { App } from "../app/parts.ts";
import { PawlError, shown, toError } from "../base/errors.ts";
import { foreignHand } from "../base/ownership.ts";
import { projectRoot } from "../base/project.ts";
import { isA } from "../base/thrown.ts";

const OWN_FOLDER = fileURLToPath(new URL("..", import.meta.url));
const PLACE = /(?:\/|[A-Za-z]:\\)[^():\n]*:\d+(?::\d+)?/;
const NAMES = ["pawl.config.ts", "pawl.config.mts", "pawl.config.js", "pawl.config.mjs"];

/**
 * The given file, whoever owns it; or the nearest config from `from` up to the root of its project, which no other
 * user may own or write, because loading it runs it. Undefined when there is none.
 *
 * @throws PawlError `config_not_found`, `config_refused`
 */
export function findConfig(
  given: string | undefined,
  from: string = process.cwd(),
): string | undefined {
  if (given !== undefined) {
    const path = resolve(from, given);
    if (existsSync(path)) return path;
    throw new PawlError(
      "config_not_found",
      `config ${path}: no such file; check --config or PAWL_CONFIG`,
    );
  }
  const root = projectRoot(from) ?? from;
  for (let folder = from; ; folder = dirname(folder)) {
    const found = NAMES.map((name) => join(folder, name)).find((path) => existsSync(path));
    if (found !== undefined) return trusted(found, from, root);
    if (folder === root || folder === dirname(folder)) return undefined;
  }
}

function trusted(found: string, from: string, root: string): string {
  const reason = foreignHand(found, trustedUsers(from, root));
  if (reason === undefined) return found;
  throw new PawlError(
    "config_refused",
    `config ${found}: not loaded, because ${reason}; if you trust it, name it with --config or PAWL_CONFIG, else make this user its owner (chown) and remove the others' right to write (chmod go-w)`,
    { data: { file: found, reason } },
  );
}

/** Root in a checkout that is mounted into a container, or in a user's own project, stands in a folder of its owner. */
function trustedUsers(from: string, root: string): number[] {
  const self = process.getuid?.() ?? 0;
  const owner = statSync(root).uid;
  return self === 0 && statSync(from).uid === owner ? [0, owner] : [0, self];
}

/** @throws PawlError `config_not_found`, `config_failed` */
export async function loadConfig(path: string): Promise<App> {
  let exported: unknown;
  try {
    const jiti = createJiti(import.meta.url, {
      interopDefault: false,
      moduleCache: true,
      fsCache: false, // it is in the temporary directory, where other users can put code under the names that it imports
    });
    exported = (await jiti.import<{ default?: unknown }>(path)).default;
  } catch (thrown) {
    throw failed(path, thrown);
  }
  if (isApp(exported)) return exported;
  throw new PawlError(
    "config_failed",
    `config ${path}: expected \`export default defineApp({ ... })\`, got ${shown(exported)} as its default export`,
  );
}

function failed(path: string, thrown: unknown): PawlError {
  const error = toError(thrown);
  const at = placeIn(error, path);
  // Pawl's own errors keep their code, and say where in the app they come from
  if (isA(error, PawlError)) {
    const where = at === undefined ? "" : ` (at ${at})`;
    return new PawlError(error.code, error.message + where, { data: error.data, cause: error });
  }
  const code = (error as { code?: unknown }).code;
  // thrown by another copy of the package: keep its code and message
  const isOurs = typeof code === "string" && error.name === "PawlError";
  const whole = `${error.name}: ${error.message}`.replace(/^Error: (?=\w+Error: )/, "");
  const message = (isOurs ? error.message : whole).trim().replaceAll(/\s*\n\s*/g, " ");
  const where = at === undefined || message.includes(at) ? "" : ` (at ${at})`;
  return new PawlError(
    "config_failed",
    `config ${path}: loading it failed: ${message}${where}; correct it there`,
    { cause: error, ...(at !== undefined && { data: { at } }) },
  );
}

/** `file:line:column` of the app's code that threw or cannot be read: the first place outside of Pawl and of packages. */
function placeIn({ message, stack = "" }: Error, path: string): string | undefined {
  const unread = PLACE.exec(message)?.[0];
  if (unread !== undefined) return unread;
  const places = stack.split("\n").map((line) => PLACE.exec(line.replace("file://", ""))?.[0]);
  const own = places.filter((one) => one !== undefined && isOfApp(one));
  return own.find((one) => one?.startsWith(`${path}:`)) ?? own[0];
}

function isOfApp(place: string): boolean {
  return !place.startsWith(OWN_FOLDER) && !place.includes("/node_modules/");
}
