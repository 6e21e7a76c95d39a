/** Samples of Markdown, and what the compiler says about those in TypeScript: one run for all, by file and line of the Markdown. */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as pawl from "../../src/index.ts";
import * as testing from "../../src/testing/index.ts";
import * as webhooks from "../../src/webhooks/index.ts";
import { ROOT } from "../support/project-files.ts";

const MODULES = { pawl, "pawl/webhooks": webhooks, "pawl/testing": testing };
const PATHS = {
  pawl: "src/index.ts",
  "pawl/webhooks": "src/webhooks/index.ts",
  "pawl/testing": "src/testing/index.ts",
};
/** `3.ts(12,5): error TS2304: …`; what is indented below it belongs to it. */
const FINDING = /^(.+?)\((\d+),\d+\): (error .*)$/gm;
const PROPERTY = /^\w+: /;

export interface Sample {
  /** Of the Markdown, from the root of the project. */
  file: string;
  /** Of the line before the code. */
  line: number;
  code: string;
}

export function samplesOf(file: string, text: string, language: string): Sample[] {
  const blocks = text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"));
  return [...blocks].map(({ index, 1: code = "" }) => ({
    file,
    line: text.slice(0, index).split("\n").length,
    code,
  }));
}

/**
 * @param assumed the type of each name that a sample may use without saying where it comes from, besides all of Pawl's
 * @returns `docs/queues.md:12: error TS2304: …`
 */
export function compile(
  samples: readonly Sample[],
  assumed: Readonly<Record<string, string>>,
): string[] {
  mkdirSync(path.join(ROOT, ".results"), { recursive: true });
  const folder = mkdtempSync(path.join(ROOT, ".results/samples-"));
  try {
    const write = (name: string, text: string) => writeFileSync(path.join(folder, name), text);
    write("tsconfig.json", JSON.stringify(settings()));
    write("assumed.ts", globals(assumed));
    for (const [i, { code }] of samples.entries()) write(`${i}.ts`, moduleOf(code));
    const tsc = path.join(ROOT, "node_modules/typescript/bin/tsc");
    const args = [tsc, "--pretty", "false", "-p", folder];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      cwd: folder,
      encoding: "utf8",
    });
    const found = [...stdout.matchAll(FINDING)].map(([, file = "", line, what]) => {
      const sample = samples[Number.parseInt(file, 10)];
      if (sample === undefined) return `${file}:${line}: ${what}`;
      return `${sample.file}:${sample.line + Number(line)}: ${what}`;
    });
    if (status !== 0 && found.length === 0) throw new Error(`tsc failed: ${stdout}${stderr}`);
    return found;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function settings(): object {
  const paths = Object.entries(PATHS).map(([name, file]) => [name, [path.join(ROOT, file)]]);
  return {
    extends: path.join(ROOT, "tsconfig.json"),
    compilerOptions: {
      noUnusedLocals: false,
      noUnusedParameters: false,
      paths: Object.fromEntries(paths),
    },
    include: ["*.ts"],
  };
}

/** Whatever a sample declares or imports itself goes before a global. */
function globals(assumed: Readonly<Record<string, string>>): string {
  const ours = Object.entries(MODULES).flatMap(([from, exported]) =>
    Object.keys(exported).map((name) => [name, `typeof import("${from}").${name}`] as const),
  );
  const types = Object.fromEntries([...ours, ...Object.entries(assumed)]);
  const lines = Object.entries(types).map(([name, type]) => `  const ${name}: ${type};`);
  return `declare global {\n${lines.join("\n")}\n}\nexport {};\n`;
}

/** The code keeps its lines. Properties alone are those of an app. */
function moduleOf(code: string): string {
  const whole = PROPERTY.test(code)
    ? `export const part: import("pawl").AppOptions = { ${code}};\n`
    : code;
  return `${whole}\nexport {};\n${forgotten(code).join("\n")}`;
}

/** A sample that imports from a module has to import all that it uses of it: the rest is made useless there. */
function forgotten(code: string): string[] {
  return Object.entries(MODULES).flatMap(([from, exported]) => {
    const imported = new RegExp(`^import \\{([^}]*)\\} from "${from}";$`, "m").exec(code)?.[1];
    if (imported === undefined) return [];
    const known = imported.split(",").map((name) => name.trim());
    return Object.keys(exported)
      .filter((name) => !known.includes(name) && !new RegExp(`\\bconst ${name}\\b`).test(code))
      .map((name) => `declare const ${name}: "imported";`);
  });
}
