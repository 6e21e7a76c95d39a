import { expect, test } from "vitest";
import { checksumOf, ownFunctions, revisionOfFunctions } from "../../src/store/functions.ts";
import { freshStore } from "../support/database.ts";
import { dumpSchema } from "../support/schema-dump.ts";

test("R108: the migrations make the schema that was reviewed (`npm run schema` writes it anew)", async () => {
  const store = await freshStore({ max: 1 });
  await expect(await dumpSchema(store)).toMatchFileSnapshot("../../docs/schema.txt");
});

test("R108: the revision of the functions rises whenever their text changes (`npm run schema` raises it)", async () => {
  const checksum = checksumOf(JSON.stringify(ownFunctions().files));
  const { revision, checksum: known } = revisionOfFunctions();
  const next = { revision: checksum === known ? revision : revision + 1, checksum };
  await expect(`${JSON.stringify(next, null, 2)}\n`).toMatchFileSnapshot(
    "../../src/store/functions.json",
  );
});
