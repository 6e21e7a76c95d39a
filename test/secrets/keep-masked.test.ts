import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { keepMasked, maskSecrets } from "../../src/secrets/keep-masked.ts";
import { seal } from "../../src/secrets/seal.ts";
import { env, file } from "../../src/secrets/secret.ts";

process.env.PAWL_SECRET_KEY = Buffer.alloc(32, 1).toString("base64");
afterAll(() => {
  delete process.env.PAWL_SECRET_KEY;
});

const A = seal("secret-a", "destination:erp");
const B = seal("secret-b", "destination:erp");
const STORED = {
  url: "https://erp.example/hooks",
  secret: [A, B],
  headers: { authorization: seal("bearer", "destination:erp"), "x-tenant": "7" },
  timeout: 15_000,
};

test("R94: what was read masked and is written back unchanged is what was stored", () => {
  const shown = maskSecrets(STORED);
  expect(shown).toEqual({
    url: "https://erp.example/hooks",
    secret: ["stored", "stored"],
    headers: { authorization: "stored", "x-tenant": "7" },
    timeout: 15_000,
  });
  expect(keepMasked(shown, STORED)).toEqual(STORED);
  expect(keepMasked(JSON.parse(JSON.stringify(shown)), STORED)).toEqual(STORED);
});

test("R94: any configuration of texts, lists, sealed values and references survives being read and written back", () => {
  const leaf = fc.oneof(
    fc.string().filter((text) => !text.includes("***")),
    fc.integer(),
    fc.constant(null),
    fc.constant(A),
    fc.constant(B),
    fc.constant(env("ERP")),
    fc.constant(file("/run/secrets/erp")),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: "small" },
      leaf,
      fc.array(tie("tree"), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie("tree"), { maxKeys: 4 }),
    ),
  }));
  fc.assert(
    fc.property(tree, (config) => {
      expect(keepMasked(maskSecrets(config), config)).toEqual(config);
    }),
  );
});

test("R94: other fields change, and the secrets beside them stay", () => {
  const next = { ...(maskSecrets(STORED) as object), url: "https://new.example/hooks" };
  expect(keepMasked(next, STORED)).toEqual({ ...STORED, url: "https://new.example/hooks" });
});

test("R94: a new secret overwrites, and a field that was left out goes", () => {
  const next = { secret: "whsec_new", headers: { "x-tenant": "8" } };
  expect(keepMasked(next, STORED)).toEqual(next);
  expect(keepMasked({ secret: env("ERP") }, STORED)).toEqual({ secret: { env: "ERP" } });
});

test("R94: a secret that is put in front of those that are stored leaves them in their order", () => {
  expect(keepMasked(["whsec_new", "stored", "stored"], [A, B])).toEqual(["whsec_new", A, B]);
  expect(keepMasked(["whsec_new", "stored"], [A, B])).toEqual(["whsec_new", B]);
});

test("R94: a value of plain text that is shown as *** stays what it was", () => {
  expect(keepMasked({ secret: "***" }, { secret: "whsec_old" })).toEqual({ secret: "whsec_old" });
});

test("R94: what is masked by the reader's own rule, such as a URL, is kept by how it was shown", () => {
  const previous = { url: "https://erp.example/?token=hunter2" };
  const shown = { url: "https://erp.example/?token=***" };
  expect(keepMasked(shown, previous, shown)).toEqual(previous);
});

test.each([
  ["where nothing was stored", { other: "***" }],
  ["in a changed text", { url: "https://new.example/?token=***" }],
  ["deep inside", { headers: { "x-new": "Bearer ***" } }],
  ["in a list that has grown", { secret: ["stored", "stored", "***"] }],
])("R94: a mask %s is refused, and never stored as the secret", (_name, next) => {
  let thrown: unknown;
  try {
    keepMasked(next, STORED);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(PawlError);
  expect(thrown).toMatchObject({ code: "invalid_option" });
});
