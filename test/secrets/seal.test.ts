import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { refuseForeignSeals, reseal, type Sealed, seal, unseal } from "../../src/secrets/seal.ts";

const CONTEXT = "destination:erp";
const OLD = randomBytes(32).toString("base64");
const NEW = randomBytes(32).toString("base64");
const folder = mkdtempSync(join(tmpdir(), "pawl-seal-"));
const clear = () => {
  delete process.env.PAWL_SECRET_KEY;
  delete process.env.PAWL_SECRET_KEY_FILE;
};
afterAll(() => {
  clear();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  clear();
  process.env.PAWL_SECRET_KEY = `old:${OLD}`;
});

function failureOf(run: () => unknown): PawlError {
  try {
    run();
  } catch (error) {
    if (error instanceof PawlError) return error;
  }
  throw new Error("no PawlError was thrown");
}

function said(error: PawlError): string {
  return `${error.message} ${JSON.stringify(error)} ${error.stack}`;
}

test("R94: any text comes back as it was, and twice the same text gives two different values", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 }), (text) => {
      const sealed = seal(text, CONTEXT);
      expect(unseal(JSON.parse(JSON.stringify(sealed)))).toBe(text);
      expect(sealed.sealed).toMatch(/^v1:old:[\w-]{16}:[\w-]+$/);
      expect(sealed.sealed).not.toBe(seal(text, CONTEXT).sealed);
    }),
  );
});

test("R94: nothing of the text stands in what is stored", () => {
  const sealed = JSON.stringify(seal("hunter2-hunter2", CONTEXT));
  expect(sealed).not.toContain("hunter2");
  expect(sealed).not.toContain(Buffer.from("hunter2-hunter2").toString("base64url"));
});

test("R94: an altered value is not opened, whichever of its characters was altered", () => {
  const { sealed } = seal("hunter2", CONTEXT);
  const start = "v1:old:".length;
  for (let i = start; i < sealed.length; i += 1) {
    if (sealed[i] === ":") continue;
    const other = sealed[i] === "A" ? "Q" : "A";
    const altered = { sealed: sealed.slice(0, i) + other + sealed.slice(i + 1), context: CONTEXT };
    if (bytesOf(altered.sealed) === bytesOf(sealed)) continue; // unused bits of the last character
    expect(failureOf(() => unseal(altered)).code).toBe("invalid_environment");
  }
});

function bytesOf(sealed: string): string {
  return sealed
    .split(":")
    .slice(2)
    .map((part) => Buffer.from(part, "base64url").toString("hex"))
    .join();
}

test("R94: a value that is moved to another context is not opened, and is found before it is used", () => {
  const { sealed } = seal("hunter2", CONTEXT);
  const moved = { sealed, context: "destination:mine" };
  const error = failureOf(() => unseal(moved));
  expect(error.code).toBe("invalid_environment");
  expect(said(error)).not.toContain("hunter2");

  const carried = { url: "https://mine.example", headers: { a: [{ sealed, context: CONTEXT }] } };
  expect(() => refuseForeignSeals(carried, CONTEXT)).not.toThrow();
  expect(failureOf(() => refuseForeignSeals(carried, "destination:mine"))).toMatchObject({
    code: "invalid_option",
    data: { context: CONTEXT },
  });
});

test("R94: keys rotate: the first seals, all open, and sealing anew moves a value to the newest", () => {
  const before = seal("hunter2", CONTEXT);
  process.env.PAWL_SECRET_KEY = `new:${NEW}, old:${OLD}`;
  expect(unseal(before)).toBe("hunter2");
  const after = reseal(before);
  expect(after.sealed).toMatch(/^v1:new:/);
  expect(reseal(after)).toBe(after);

  process.env.PAWL_SECRET_KEY = `new:${NEW}`;
  expect(unseal(after)).toBe("hunter2");
  const error = failureOf(() => unseal(before));
  expect(error.code).toBe("invalid_environment");
  expect(error.message).toContain('"old"');
  expect(said(error)).not.toContain(NEW);
});

test("R94: another key under the same id does not open a value, and says so without showing a key", () => {
  const sealed = seal("hunter2", CONTEXT);
  process.env.PAWL_SECRET_KEY = `old:${NEW}`;
  const error = failureOf(() => unseal(sealed));
  expect(error.code).toBe("invalid_environment");
  expect(said(error)).not.toContain(NEW);
});

test("R94: a key without an id is named after its hash, so that it keeps its name", () => {
  process.env.PAWL_SECRET_KEY = OLD;
  const id = createHash("sha256").update(Buffer.from(OLD, "base64")).digest("hex").slice(0, 8);
  const sealed = seal("hunter2", CONTEXT);
  expect(sealed.sealed.split(":")[1]).toBe(id);
  process.env.PAWL_SECRET_KEY = `${NEW},${OLD}`;
  expect(unseal(sealed)).toBe("hunter2");
});

test("R94: keys come from a file as well, and are read anew when it changes", () => {
  const path = join(folder, "keys");
  writeFileSync(path, `old:${OLD}\n`);
  const sealed = seal("hunter2", CONTEXT);
  clear();
  process.env.PAWL_SECRET_KEY_FILE = path;
  expect(unseal(sealed)).toBe("hunter2");
  writeFileSync(path, `new:${NEW},old:${OLD}\n`);
  expect(seal("hunter2", CONTEXT).sealed).toMatch(/^v1:new:/);
});

test("R94: without a key the message says what to set and how to make one", () => {
  const sealed = seal("hunter2", CONTEXT);
  clear();
  for (const run of [() => seal("hunter2", CONTEXT), () => unseal(sealed)]) {
    const error = failureOf(run);
    expect(error.code).toBe("invalid_environment");
    expect(error.message).toContain("PAWL_SECRET_KEY");
    expect(error.message).toContain("openssl rand -base64 32");
    expect(error.message).toContain(CONTEXT);
    expect(said(error)).not.toContain("hunter2");
  }
});

test.each([
  ["too short", Buffer.alloc(31, 7).toString("base64")],
  ["too long", Buffer.alloc(33, 7).toString("base64")],
  ["no base64", "correct horse battery staple, twice"],
  ["without padding", Buffer.alloc(32, 7).toString("base64").replace("=", "")],
  ["hexadecimal", Buffer.alloc(32, 7).toString("hex")],
  ["with a bad id", `my key:${Buffer.alloc(32, 7).toString("base64")}`],
  ["followed by a comma", `${Buffer.alloc(32, 7).toString("base64")},`],
])("R94: a key that is %s is refused by its place and not shown", (_name, text) => {
  process.env.PAWL_SECRET_KEY = text;
  const error = failureOf(() => seal("hunter2", CONTEXT));
  expect(error.code).toBe("invalid_environment");
  expect(error.message).toMatch(/key [12]/);
  for (const part of text.split(/[,:]/)) {
    if (part.length > 6) expect(said(error)).not.toContain(part.trim());
  }
});

test("R94: two keys of one id, and two places for keys, are refused", () => {
  process.env.PAWL_SECRET_KEY = `a:${OLD},a:${NEW}`;
  expect(failureOf(() => seal("x", CONTEXT)).message).toContain('"a"');
  process.env.PAWL_SECRET_KEY_FILE = join(folder, "keys");
  expect(failureOf(() => seal("x", CONTEXT)).message).toContain("both set");
});

test.each([
  [""],
  ["v1"],
  ["v1:old:x:y"],
  ["v2:old:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAA"],
  ["v1:old:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAA"],
  ["v1::AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAA"],
])("R94: %j is not opened", (sealed) => {
  const value: Sealed = { sealed, context: CONTEXT };
  expect(failureOf(() => unseal(value)).code).toBe("invalid_environment");
});

test("R94: no secret and too much of it are refused", () => {
  for (const plain of ["", "a".repeat(65_537), 5 as unknown as string]) {
    expect(failureOf(() => seal(plain, CONTEXT)).code).toBe("invalid_option");
  }
});
