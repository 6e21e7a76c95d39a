/**
 * A program of the tests as one plain file: a process starts from it in a quarter of the time, and tests that kill
 * a hundred of them spend theirs on what they test.
 */

import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "./project-files.ts";

interface Bundler {
  buildSync(options: Record<string, unknown>): void;
}

/** The bundler that tsx brings with it. */
function bundler(): Bundler {
  const tsx = createRequire(import.meta.url).resolve("tsx/package.json");
  return createRequire(tsx)("esbuild") as Bundler;
}

export interface Bundle {
  readonly path: string;
  remove(): void;
}

export function bundle(program: string): Bundle {
  const folder = mkdtempSync(join(os.tmpdir(), "pawl-program-"));
  chmodSync(folder, 0o755); // a test may run it as somebody else
  const path = join(folder, "program.mjs");
  // an app is named after its package: as in the tests that run beside it
  copyFileSync(join(ROOT, "package.json"), join(folder, "package.json"));
  // what the sources read beside themselves lies where it lay
  const anyPart = pathToFileURL(join(ROOT, "src/store/migrate.ts")).href;
  bundler().buildSync({
    entryPoints: [program],
    outfile: path,
    bundle: true,
    platform: "node",
    format: "esm",
    logLevel: "error",
    define: { "import.meta.url": JSON.stringify(anyPart) },
    banner: {
      js: `import { createRequire as requireFrom } from "node:module"; const require = requireFrom(${JSON.stringify(anyPart)});`,
    },
  });
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
