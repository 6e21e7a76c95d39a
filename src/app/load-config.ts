/** Finds and loads `pawl.config.ts` (or .mts, .js, .mjs), on Node 20 too, which cannot run TypeScript by itself. */

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { createJiti } from "jiti";
import { PawlError, shown, toError } from "../base/errors.ts";
import { type App, isApp } from "./define-app.ts";

const NAMES = ["pawl.config.ts", "pawl.config.mts", "pawl.config.js", "pawl.config.mjs"];

/** The given file, or the nearest config from `from` upwards; undefined when there is none. */
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
  for (let folder = from; ; folder = dirname(folder)) {
    const found = NAMES.map((name) => join(folder, name)).find((path) => existsSync(path));
    if (found !== undefined) return found;
    if (folder === dirname(folder)) return undefined;
  }
}

/** @throws PawlError `config_not_found`, `config_failed` */
export async function loadConfig(path: string): Promise<App> {
  let exported: unknown;
  try {
    const jiti = createJiti(import.meta.url, { interopDefault: false, moduleCache: true });
    exported = (await jiti.import<{ default?: unknown }>(path)).default;
  } catch (thrown) {
    if (thrown instanceof PawlError) throw thrown;
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
  const code = (error as { code?: unknown }).code;
  // thrown by another copy of the package: keep what it says
  const message =
    typeof code === "string" && error.name === "PawlError"
      ? error.message
      : `${error.name}: ${error.message}`;
  return new PawlError(
    "config_failed",
    `config ${path}: loading it failed: ${message}; run it alone to see where`,
    {
      cause: error,
    },
  );
}
