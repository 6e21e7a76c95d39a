// Tells which lines of docs/requirements.md the last full test run proved: `npm run requirements [-- --json]`.
// A line is proved when at least one passed test names it (`R41`, a whole word anywhere in the full name)
// and no test that names it failed. Without results, the tests run first.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const DOC = "docs/requirements.md";
const RESULTS = ".results/tests.json";
const SOURCES = ["src", "test", "scripts", "examples", "package-lock.json"];

main(process.argv.slice(2));

function main(args) {
  const unknownOption = args.find((arg) => arg !== "--json");
  if (unknownOption !== undefined) fail(`option ${unknownOption} is not known; known: --json`, 2);
  const requirements = readRequirements();
  const run = readRun();
  warnAboutAge(run);
  refuseUnknownNumbers(requirements, run.tests);
  const judged = requirements.map((requirement) => judge(requirement, run.tests));
  process.stdout.write(args.includes("--json") ? asJson(judged) : asTable(judged));
}

/** In document order: [{ id, part }] */
function readRequirements() {
  if (!existsSync(DOC)) fail(`${DOC} is not here; run this in the root of the project`, 2);
  const requirements = [];
  let part = "";
  for (const line of readFileSync(DOC, "utf8").split("\n")) {
    part = /^## (.+)$/.exec(line)?.[1] ?? part;
    const id = /^- \*\*(R\d+[a-z]?)\*\* /.exec(line)?.[1];
    if (id === undefined) continue;
    if (requirements.some((other) => other.id === id)) fail(`${DOC} has the line ${id} twice`, 1);
    requirements.push({ id, part });
  }
  return requirements;
}

function readRun() {
  if (!existsSync(RESULTS)) runTests();
  if (!existsSync(RESULTS)) {
    fail(`the tests left no ${RESULTS}, only a full run writes it; see what \`npm test\` says`, 1);
  }
  const run = JSON.parse(readFileSync(RESULTS, "utf8"));
  if (run.filtered) fail(`${RESULTS} is of a run with a filter; remove it and run \`npm test\``, 1);
  return run;
}

/** Everything that the tests say goes to stderr, so that stdout stays data. */
function runTests() {
  note(`no ${RESULTS} yet: running \`npm test\` first`);
  spawnSync("npm", ["test"], { stdio: ["inherit", 2, 2], shell: process.platform === "win32" });
}

function warnAboutAge(run) {
  const startedAtMs = Date.parse(run.startedAt);
  const newer = SOURCES.flatMap(filesUnder).filter((file) => statSync(file).mtimeMs > startedAtMs);
  if (newer.length === 0) return;
  note(
    `the results (${run.startedAt}) are older than ${newer.length} source files, such as ${newer[0]}; run \`npm test\` to renew them`,
  );
}

function filesUnder(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((file) => !/[\\/](node_modules|dist|\.pawl|\.samples)[\\/]/.test(file));
}

function refuseUnknownNumbers(requirements, tests) {
  const known = new Set(requirements.map((requirement) => requirement.id));
  const unknown = tests.flatMap((test) =>
    numbersIn(test.name)
      .filter((id) => !known.has(id))
      .map((id) => `  ${id} in ${test.file}: ${test.name}`),
  );
  if (unknown.length > 0)
    fail(`tests name lines that ${DOC} does not have:\n${unknown.join("\n")}`, 1);
}

function judge({ id, part }, tests) {
  const naming = tests.filter((test) => numbersIn(test.name).includes(id));
  const passed = naming.filter((test) => test.state === "passed");
  const failed = naming.filter((test) => test.state === "failed");
  return {
    id,
    part,
    proved: passed.length > 0 && failed.length === 0,
    failed: failed.length > 0,
    tests: naming.map((test) => `${test.file} > ${test.name}`),
  };
}

function numbersIn(name) {
  return name.match(/\bR\d+[a-z]?\b/g) ?? [];
}

function asJson(judged) {
  const byId = Object.fromEntries(judged.map(({ id, proved, tests }) => [id, { proved, tests }]));
  return `${JSON.stringify(byId)}\n`;
}

function asTable(judged) {
  const parts = [...new Set(judged.map(({ part }) => part))];
  const rows = parts.map((part) =>
    partRow(
      part,
      judged.filter((one) => one.part === part),
    ),
  );
  const total = partRow("total", judged);
  const width = Math.max(...rows.map((row) => row.title.length)) + 2;
  const lines = [...rows, total].flatMap(({ title, count, open }) => [
    `${title.padEnd(width)}${count}`,
    ...(title === "total" ? [] : open),
  ]);
  return `${lines.join("\n")}\n`;
}

function partRow(title, judged) {
  const proved = judged.filter((one) => one.proved);
  const failed = judged.filter((one) => one.failed);
  const untested = judged.filter((one) => !one.proved && !one.failed);
  const open = [...listed("failed", failed), ...listed("no passed test", untested)];
  return { title, count: `${String(proved.length).padStart(3)} of ${judged.length} proved`, open };
}

function listed(title, judged) {
  return judged.length === 0 ? [] : [`    ${title}: ${judged.map(({ id }) => id).join(" ")}`];
}

function note(message) {
  process.stderr.write(`requirements: ${message}\n`);
}

function fail(message, exitCode) {
  note(message);
  process.exit(exitCode);
}
