import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, defineProcess } from "../../src/index.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { ROOT } from "../support/project-files.ts";
import { compile, samplesOf } from "./samples.ts";

/** What a sample may take as given: the reader's own things, and what the text around it made. */
const ASSUMED = {
  pawl: 'import("pawl").Pawl',
  tx: 'import("pawl").Transaction',
  ...ofType("string", ["api", "clusterUri", "id", "orderId", "sku", "url"]),
  ...ofType("number", ["company", "seconds"]),
  ...ofType("Date", ["from", "to"]),
  checkOrder: jobOf("{ id: string }"),
  reorder: jobOf("{ sku: string }"),
  sendInvoice: jobOf("{ orderId: string }"),
  orders: 'import("pawl").Process<import("zod").ZodType<{ order: number }, { order: number }>>',
  first: 'import("pawl").AnyProcess',
  reserveStock: 'import("pawl").FlowHandler',
  pool: 'import("pg").Pool',
  readFileSync: 'typeof import("node:fs").readFileSync',
  z: 'typeof import("zod").z',
  // the receivers of webhooks
  app: 'import("fastify").FastifyInstance',
  req: 'import("node:http").IncomingMessage',
  handle: "(event: unknown) => Promise<void>",
  verifier: 'import("pawl/webhooks").EventVerifier<unknown>',
};
/** Imported by samples that are left out, with the reason. */
const LEFT_OUT = { express: "it comes without types, and those of others are not installed" };

const BROKEN = `# A guide

\`\`\`ts
const one: number = 1;

const two: number = "two";
\`\`\`

Later:

\`\`\`ts
import { env } from "pawl";

connect(defineApp({ http: { proxy: env("PROXY") } }));
nobodySaidWhatThisIs();
\`\`\`
`;

function ofType(type: string, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, type]));
}

function jobOf(input: string): string {
  return `import("pawl").Job<import("zod").ZodType<${input}, ${input}>>`;
}

const guides = ["README.md", ...readdirSync(path.join(ROOT, "docs")).map((one) => `docs/${one}`)]
  .filter((file) => file.endsWith(".md"))
  .map((file) => ({ file, text: readFileSync(path.join(ROOT, file), "utf8") }));
const inGuides = (language: string) =>
  guides.flatMap(({ file, text }) => samplesOf(file, text, language));
const imports = (name: string) => (sample: { code: string }) =>
  sample.code.includes(` from "${name}";`);

describe("samples in TypeScript", () => {
  const all = inGuides("ts");
  const checked = all.filter(
    (sample) => !Object.keys(LEFT_OUT).some((name) => imports(name)(sample)),
  );
  let found: string[];

  beforeAll(() => {
    found = compile([...checked, ...samplesOf("broken.md", BROKEN, "ts")], ASSUMED);
  });

  test("those of the README and of every guide compile as they stand there", () => {
    expect(found.filter((one) => !one.startsWith("broken.md:"))).toEqual([]);
    expect(checked.length).toBeGreaterThan(20);
  });

  test("one that does not compile, or forgets an import, is named with its file and line", () => {
    expect(found.filter((one) => one.startsWith("broken.md:"))).toEqual([
      expect.stringMatching(/^broken\.md:6: error TS2322: Type 'string' is not assignable/),
      expect.stringMatching(/^broken\.md:14: error TS2349: This expression is not callable/),
      expect.stringMatching(/^broken\.md:14: error TS2349: This expression is not callable/),
      expect.stringMatching(/^broken\.md:15: error TS2304: Cannot find name/),
    ]);
  });

  test("only what cannot be checked is left out", () => {
    for (const name of Object.keys(LEFT_OUT)) expect(all.filter(imports(name))).toHaveLength(1);
  });
});

describe("samples in SQL", () => {
  const sendEmail = defineJob({ name: "send-email", input: z.unknown(), run: () => undefined });
  const order = defineProcess({
    name: "order",
    version: 1,
    input: z.unknown(),
    steps: (s) => s.wait("approved"),
  });

  test("run on a migrated database, as often as somebody runs them", async () => {
    const { url } = await freshDatabase();
    const app = defineApp({ jobs: [sendEmail], processes: [order] });
    await (await connect(app, { databaseUrl: url, log: silentLogger })).close();
    const client = await rawClient(url);
    const samples = inGuides("sql");
    for (const { file, line, code } of [...samples, ...samples])
      await client.query(code).catch((cause: Error) => {
        throw new Error(`${file}:${line}: ${cause.message}`, { cause });
      });
    expect(samples.map(({ file }) => file)).toEqual([
      "docs/processes.md",
      "docs/sql.md",
      "docs/sql.md",
      "docs/webhooks.md",
    ]);
  });
});
