/**
 * The rules of the source tree as pure functions: a list of files in, a list of findings out (empty is good).
 * No pattern here matches its own source text, so that no rule needs an exception for this file.
 */

import { posix } from "node:path";

export interface TextFile {
  /** From the root of the project, with `/`. */
  path: string;
  text: string;
}

/** Lowest first: a folder of src may import itself and the folders before it; files directly in src stand above all. */
export const LAYERS = [
  "base",
  "secrets",
  "options",
  "foreign",
  "webhooks",
  "store",
  "sender",
  "operate",
  "kernel",
  "queue",
  "requests",
  "outbox",
  "process",
  "control",
  "schedule",
  "inbox",
  "registry",
  "app",
  "http",
  "cli",
  "testing",
] as const;
export const LINES_PER_FILE_MAX = 400;

/** `import … from`, `export … from` and `import "…"` at the start of a line; `import("…")` and `new URL("…", import.meta.url)` anywhere. */
const IMPORTS = [
  /^\s*(?:import|export)\b[^;"'`]*?\bfrom\s*["'](\.[^"']+)["']/gm,
  /^\s*import\s*["'](\.[^"']+)["']/gm,
  /\bimport\(\s*["'](\.[^"']+)["']/g,
  /\bnew URL\(\s*["'](\.[^"']+)["'],\s*import\.meta\.url/g,
];
const EXPORTED = /^export (?:async )?(?:function\*?|const|(?:abstract )?class) (\w+)/gm;
const COMMENT_LINE = /^\s*(?:\/\/|\/\*|\*).*$/gm;
const UNFINISHED = /\b(?:TO[D]O|FIX[M]E)\b/;
const ANY = /(?::\s*any\b(?=\s*(?:[;,)=\]}>|&[]|$))|\bas\s+any\b)/m;
const MACHINE_PATH = /(?<![\w.$}-])\/(?:work|root|home)\/[\w.-]/;
const REGISTRY_HOST =
  /\b(?:registry\.(?:npm[j]s|yarn[p]kg|npm[m]irror)\.\w+|npm\.pkg\.git[h]ub\.com|\w+\.jfr[o]g\.io)\b/i;
/** The first string after `test(` and the like, after `.each(cases)(`, and after the end of a written-out list of cases. */
const TEST_NAME =
  /(?:\b(?:test|it|describe)(?:\.\w+)*(?:\([^()]*\))?|[\]}`]\))\(\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)/g;
/** A string that begins as a statement does; English sentences that begin with these words do not match. */
const SQL =
  /(["'`])\s*(?:select\s+(?:\d|\*|\$|distinct\b|[\w.]+\(|(?:(?!\1)[\s\S])*?\bfrom\s+[a-z])|insert\s+into\s|update\s+(?:only\s+)?\S+(?:\s+as)?(?:\s+\w+)?\s+set\s|delete\s+from\s|merge\s+into\s|with\s+(?:recursive\s+)?\w+\s*(?:\([^)]*\)\s*)?as\s+(?:(?:not\s+)?materialized\s+)?\(|(?:create|alter|drop)\s+(?:table|index|schema|function|type|view)\s|truncate\s+(?:table\s+)?\w+\.|call\s+\w+\.\w+\(|(?:un)?listen\s+["$]|notify\s+["$])/i;

export function unknownLayers(files: readonly TextFile[]): string[] {
  return files.filter((file) => rank(file.path) < 0).map((file) => file.path);
}

export function upwardImports(files: readonly TextFile[]): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((target) => rank(target) > rank(file.path))
      .map((target) => `${file.path} -> ${target}`),
  );
}

/** One finding a cycle: `a -> b -> a`. */
export function importCycles(files: readonly TextFile[]): string[] {
  const graph = graphOf(files);
  const finished = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) cycles.push([...trail.slice(at), path].join(" -> "));
    if (at >= 0 || finished.has(path)) return;
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    finished.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return cycles;
}

/** Imports of files that do not exist: a misspelt path must not hide a file from the other rules. */
export function brokenImports(files: readonly TextFile[], existing: ReadonlySet<string>): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((target) => !existing.has(target))
      .map((target) => `${file.path} -> ${target}`),
  );
}

export function unreachableFiles(files: readonly TextFile[], entries: readonly string[]): string[] {
  const graph = graphOf(files);
  const reached = new Set<string>();
  const queue = [...entries];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    queue.push(...(graph.get(path) ?? []));
  }
  return [...graph.keys()].filter((path) => !reached.has(path));
}

/** Functions, constants and classes that are exported although only their own file uses them. Types of what is exported may be. */
export function lonelyExports(files: readonly TextFile[], users: readonly TextFile[]): string[] {
  const importers = new Map<string, TextFile[]>();
  for (const user of users) {
    for (const path of importsOf(user)) importers.set(path, [...(importers.get(path) ?? []), user]);
  }
  return files.flatMap((file) =>
    [...file.text.matchAll(EXPORTED)]
      .map(([, name = ""]) => name)
      .filter((name) => {
        const word = new RegExp(`\\b${name}\\b`);
        return !(importers.get(file.path) ?? []).some(({ text }) => word.test(text));
      })
      .map((name) => `${file.path}: ${name}`),
  );
}

/** The package, the command, and what runs in the thread of a job. */
const ENTRIES = ["src/index.ts", "src/cli/main.ts", "src/queue/thread/entry.ts"];

/** What package.json offers, as files of src: `bin`, `exports`, and those that always are entries. */
export function entriesOf(manifest: { bin?: unknown; exports?: unknown }): string[] {
  const targets = [
    ...JSON.stringify([manifest.bin, manifest.exports]).matchAll(/"\.\/dist\/([^"*]+)\.js"/g),
  ];
  return [...new Set([...ENTRIES, ...targets.map((one) => `src/${one[1]}.ts`)])];
}

export function longFiles(files: readonly TextFile[]): string[] {
  return files
    .map((file) => ({ path: file.path, lines: file.text.trimEnd().split("\n").length }))
    .filter(({ lines }) => lines > LINES_PER_FILE_MAX)
    .map(({ path, lines }) => `${path}: ${lines} lines`);
}

export function consoleLogs(files: readonly TextFile[]): string[] {
  const outside = files.filter((file) => !file.path.startsWith("src/cli/"));
  return find(outside, /\bconsole\s*\.\s*log\s*\(/, withoutComments);
}

export function unfinishedWork(files: readonly TextFile[]): string[] {
  return find(files, UNFINISHED);
}

export function anyTypes(files: readonly TextFile[]): string[] {
  return find(files, ANY, withoutComments);
}

/** SQL stands in `sql.ts` of its domain, in `.sql` files, and in src/store. */
export function sqlInStrings(files: readonly TextFile[]): string[] {
  const outside = files.filter(
    ({ path }) => !path.startsWith("src/store/") && posix.basename(path) !== "sql.ts",
  );
  return find(outside, SQL, withoutComments);
}

export function machinePaths(files: readonly TextFile[]): string[] {
  return find(files, MACHINE_PATH);
}

export function registryHosts(files: readonly TextFile[]): string[] {
  return find(files, REGISTRY_HOST);
}

export function wishfulTestNames(files: readonly TextFile[]): string[] {
  return files.flatMap((file) =>
    [...file.text.matchAll(TEST_NAME)]
      .map((match) => match[1] ?? "")
      .filter((name) => /\bshould\b/i.test(name))
      .map((name) => `${file.path}: ${name}`),
  );
}

/** Numbers of requirements in the names of tests that the list does not have: `npm run requirements` would refuse them. */
export function unknownRequirements(files: readonly TextFile[], list: string): string[] {
  const known = new Set(list.match(/(?<=^- \*\*)R\d+[a-z]?/gm));
  return files.flatMap((file) =>
    [...file.text.matchAll(TEST_NAME)]
      .flatMap((match) => (match[1] ?? "").match(/\bR\d+[a-z]?\b/g) ?? [])
      .filter((id) => !known.has(id))
      .map((id) => `${file.path}: ${id}`),
  );
}

function graphOf(files: readonly TextFile[]): Map<string, string[]> {
  return new Map(files.map((file) => [file.path, importsOf(file)]));
}

function importsOf(file: TextFile): string[] {
  const targets = IMPORTS.flatMap((pattern) => [...file.text.matchAll(pattern)])
    .map((match) => posix.join(posix.dirname(file.path), match[1] ?? ""))
    .filter((target) => target.endsWith(".ts"));
  return [...new Set(targets)];
}

/** −1 for a folder that is no layer; files directly in src, and whatever is outside, rank above all. */
function rank(path: string): number {
  const [top, folder, ...rest] = path.split("/");
  if (top !== "src" || rest.length === 0) return LAYERS.length;
  return (LAYERS as readonly string[]).indexOf(folder ?? "");
}

/** One finding a file, at its first line that matches. */
/** Files of tests share a process, and a helper is loaded once: what it hooks while it is loaded runs for the first file alone. */
export function hooksOfHelpers(files: readonly TextFile[]): string[] {
  const helpers = files.filter(
    ({ path }) => !path.endsWith(".test.ts") && path !== "test/support/each-file.ts",
  );
  return find(helpers, /^(?:before|after)(?:Each|All)\(/m);
}

function find(
  files: readonly TextFile[],
  pattern: RegExp,
  prepare = (text: string): string => text,
): string[] {
  return files.flatMap((file) => {
    const text = prepare(file.text);
    const match = pattern.exec(text);
    if (match === null) return [];
    const line = text.slice(0, match.index).split("\n").length;
    return [`${file.path}:${line}: ${match[0].trim().slice(0, 60)}`];
  });
}

/** Keeps the number of lines. */
function withoutComments(text: string): string {
  return text.replace(COMMENT_LINE, "");
}
