import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../support/project-files.ts";

const FOLDER = join(ROOT, "deploy");
const files = readdirSync(FOLDER, { recursive: true })
  .map(String)
  .filter((file) => statSync(join(FOLDER, file)).isFile())
  .map((file) => ({ file, text: readFileSync(join(FOLDER, file), "utf8") }));

/** `pawl work --limit 5` and `["…/pawl", "work", "--limit", "5"]`: the words after `pawl`. */
function commandsOf(text: string): string[][] {
  const plain = [...text.matchAll(/(?:=|: )\S*\/\.bin\/pawl (.+)$/gm)].map(([, words = ""]) =>
    words.split(" "),
  );
  const listed = [...text.matchAll(/\["\S*\/\.bin\/pawl", (.+?)\]/g)].map(([, words = ""]) =>
    [...words.matchAll(/"([^"]*)"/g)].map(([, word = ""]) => word),
  );
  const probes = [...text.matchAll(/(?:CMD |"|&& )node_modules\/\.bin\/pawl ([^&"\n]+)/g)].map(
    ([, words = ""]) => words.trim().split(" "),
  );
  return [...plain, ...listed, ...probes];
}

test("deploying: the commands and options in the samples are ones that the command line has", () => {
  const commands = files.flatMap(({ text }) => commandsOf(text));
  expect(commands.length).toBeGreaterThanOrEqual(10);
  const help = new Map<string, string>();
  for (const [name = "", ...options] of commands) {
    if (!help.has(name)) {
      const { status, stdout } = spawnSync(process.execPath, ["dist/cli/main.js", name, "--help"], {
        cwd: ROOT,
        encoding: "utf8",
      });
      expect(status).toBe(0);
      help.set(name, stdout);
    }
    for (const option of options.filter((one) => one.startsWith("--")))
      expect(help.get(name)).toContain(`${option} `);
  }
});

test("deploying: each sample waits longer than the grace of a worker before it kills one", () => {
  const waits = files.flatMap(({ file, text }) =>
    [
      ...text.matchAll(
        /(?:stopwaitsecs=|TimeoutStopSec=|stop_grace_period: |terminationGracePeriodSeconds: )(\d+)/g,
      ),
    ].map(([, seconds]) => ({ file, seconds: Number(seconds) })),
  );
  expect(waits).toHaveLength(5);
  for (const { seconds } of waits) expect(seconds).toBeGreaterThan(25);
});

test("R74 R107: each sample of a container asks the health of its workers, on the ports that they have", () => {
  const sample = (name: string) => files.find(({ file }) => file === name)?.text ?? "";
  expect(sample("docker/supervisord.conf")).toContain("--health-port 818%(process_num)d\n");
  expect(sample("docker/supervisord.conf")).toContain("numprocs=2\n");
  for (const probing of ["docker/Dockerfile", "compose/compose.yaml"])
    for (const port of [8180, 8181])
      expect(sample(probing)).toMatch(
        new RegExp(`pawl health --(live|ready) --health-port ${port}`),
      );
  const kubernetes = sample("kubernetes/pawl.yaml");
  expect(kubernetes).toContain('"--health-port", "8180", "--health-host", "0.0.0.0"');
  expect(kubernetes).toContain("containerPort: 8180");
  for (const path of ["/live", "/ready"])
    expect(kubernetes).toContain(`httpGet: { path: ${path}, port: health }`);
});

test("deploying: the page names every sample, and each YAML is indented by spaces", () => {
  const page = readFileSync(join(ROOT, "docs/deploy.md"), "utf8");
  for (const { file } of files) expect(page).toContain(`(../deploy/${file})`);
  for (const { text } of files) expect(text).not.toMatch(/\t/);
});

test.skipIf(spawnSync("systemd-analyze", ["--version"]).status !== 0)(
  "deploying: systemd finds nothing wrong with the unit but that the app is not there",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "pawl-unit-"));
    try {
      const unit = join(folder, "pawl-worker@1.service");
      copyFileSync(join(FOLDER, "systemd/pawl-worker@.service"), unit);
      const { stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit], {
        encoding: "utf8",
      });
      const about = stderr.split("\n").filter((line) => line.includes("pawl-worker"));
      expect(about.filter((line) => !/\.bin\/pawl is not executable/.test(line))).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
