import { execFileSync } from "node:child_process";
import { appendFile, constants, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { isBad, type Page, SourceAnswered, SourceUnavailable } from "../../../src/inbox/source.ts";
import { type FileSourceOptions, fileSource } from "../../../src/inbox/sources/file.ts";
import { readAll, windowOf } from "./reading.ts";

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), "pawl-file-source-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

let files = 0;
async function fileOf(content: string | Uint8Array): Promise<string> {
  files += 1;
  const name = path.join(dir, `${files}.ndjson`);
  await writeFile(name, content);
  return name;
}

const sourceOf = (file: string, more: Partial<FileSourceOptions> = {}) =>
  fileSource({ name: "backfill", path: file, ...more });

const payloads = (pages: readonly Page[]) =>
  pages.flatMap(({ events }) => events.map((one) => (isBad(one) ? one.error : one.payload)));

describe("R46: a file is loaded line by line,", () => {
  test("each line once, however small the pages are, and its offset is its id", async () => {
    const lines = Array.from({ length: 1_000 }, (_, n) => `{"n":${n}}`);
    const file = await fileOf(`${lines.join("\n")}\n`);
    const { pages } = await readAll(sourceOf(file, { limit: 7 }));
    expect(payloads(pages)).toEqual(lines.map((line) => JSON.parse(line)));
    expect(pages.every(({ events }) => events.length <= 7)).toBe(true);
    const ids = pages.flatMap(({ events }) => events.map(({ id }) => Number(id)));
    expect(ids.slice(0, 3)).toEqual([0, 8, 16]);
    expect(new Set(ids).size).toBe(1_000);
  });

  test("a torn last line is left for later, and is read once it is whole", async () => {
    const file = await fileOf('{"n":1}\n{"n":2,"text":"half');
    const source = sourceOf(file);
    const first = await readAll(source);
    expect(payloads(first.pages)).toEqual([{ n: 1 }]);
    expect(first.pages.at(-1)).toMatchObject({ lag: 1, more: false });
    await appendFile(file, ' and half"}\n');
    const second = await readAll(source, first.window);
    expect(payloads(second.pages)).toEqual([{ n: 2, text: "half and half" }]);
  });

  test("a last line without its end is read when it is whole, and what follows is no part of it", async () => {
    const file = await fileOf('{"n":1}\n{"n":2}');
    const source = sourceOf(file);
    const first = await readAll(source);
    expect(payloads(first.pages)).toEqual([{ n: 1 }, { n: 2 }]);
    await appendFile(file, '\n{"n":3}\n');
    const second = await readAll(source, first.window);
    expect(payloads(second.pages)).toEqual([{ n: 3 }]);
  });

  test("a number at the end may be half of one, and waits", async () => {
    const file = await fileOf("1\n12");
    const source = sourceOf(file);
    const first = await readAll(source);
    expect(payloads(first.pages)).toEqual([1]);
    await appendFile(file, "3\n");
    expect(payloads((await readAll(source, first.window)).pages)).toEqual([123]);
  });

  test("a whole last line does not make a page larger than its limit", async () => {
    const source = sourceOf(await fileOf('{"n":1}\n{"n":2}'), { limit: 1 });
    const { pages } = await readAll(source);
    expect(pages.map(({ events }) => events.length).filter((count) => count > 0)).toEqual([1, 1]);
  });

  test("bad lines are set aside with their bytes, and the rest goes on", async () => {
    const broken = Buffer.concat([
      Buffer.from('{"a":"'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('"}'),
    ]);
    const content = Buffer.concat([
      Buffer.from('\ufeff{"n":1}\r\n\r\n  \nnot json\n{"n":"\\u0000"}\n'),
      broken,
      Buffer.from('\n{"n":2}\n'),
    ]);
    const { pages } = await readAll(sourceOf(await fileOf(content)));
    const events = pages.flatMap((page) => page.events);
    expect(
      events.map((one) => (isBad(one) ? Buffer.from(one.raw).toString("latin1") : one.payload)),
    ).toEqual([{ n: 1 }, "not json", '{"n":"\\u0000"}', broken.toString("latin1"), { n: 2 }]);
  });

  test("R46: a line that was set aside is read again by its fields, and refused again while it is no event", async () => {
    const source = sourceOf(await fileOf(""), { eventName: "kind", payload: "order" });
    expect(() => source.decode?.(Buffer.from("not json"), "8")).toThrow(/not json/);
    const line = Buffer.from('{"kind":"paid","order":{"id":7}}');
    expect(source.decode?.(line, "8")).toEqual({ id: "8", name: "paid", payload: { id: 7 } });
  });

  test("a line that is too long is set aside with its beginning, never held in memory whole", async () => {
    const long = `"${"x".repeat(3_000_000)}"`;
    const source = sourceOf(await fileOf(`{"n":1}\n${long}\n{"n":2}\n`), { maxLineBytes: 1_000 });
    const { pages } = await readAll(source);
    const events = pages.flatMap((page) => page.events);
    expect(events).toHaveLength(3);
    const bad = events[1];
    expect(bad !== undefined && isBad(bad) && bad.raw.length).toBe(1_000);
    expect(bad).toMatchObject({ id: "8", error: expect.stringContaining(String(long.length)) });
  });

  test("a large file is read in bounded parts", async () => {
    const line = `${JSON.stringify({ text: "y".repeat(500) })}\n`;
    const source = sourceOf(await fileOf(line.repeat(40_000)), { limit: 10_000 });
    const sizes: number[] = [];
    const { pages } = await readAll(source, windowOf(source), (raw) =>
      sizes.push(raw.bytes.length),
    );
    expect(pages.flatMap(({ events }) => events)).toHaveLength(40_000);
    expect(Math.max(...sizes)).toBeLessThan(5 * 1024 * 1024);
  });

  test("an id of the line's own is taken where it is named; a line without it keeps its offset", async () => {
    const file = await fileOf(
      '{"order":{"id":7},"kind":"paid","at":"2030-01-02T03:04:05+01:00"}\n{"x":1}\n',
    );
    const fields = { id: "order.id", eventName: "kind", occurredAt: "at", payload: "order" };
    const { pages } = await readAll(sourceOf(file, fields));
    expect(pages[0]?.events).toMatchObject([
      { id: "7", name: "paid", occurredAt: "2030-01-02T02:04:05.000Z", payload: { id: 7 } },
      { id: "@66", error: expect.stringContaining("order.id") },
    ]);
  });
});

describe("R43: what is wrong with a file is told apart:", () => {
  test("a file that is not there is unsent, and may come", async () => {
    const source = sourceOf(path.join(dir, "later.ndjson"));
    await expect(readAll(source)).rejects.toThrow(SourceUnavailable);
    await expect(readAll(source)).rejects.toMatchObject({ sent: "no" });
  });

  test("a folder is not a file", async () => {
    await expect(readAll(sourceOf(dir))).rejects.toThrow(SourceAnswered);
  });

  test.skipIf(process.platform === "win32")(
    "a pipe is not a file, and nobody is waited for to write to it",
    async () => {
      const pipe = path.join(dir, "pipe");
      execFileSync("mkfifo", [pipe]);
      onTestFinished(async () => {
        const writer = await open(pipe, constants.O_WRONLY | constants.O_NONBLOCK).catch(
          () => undefined,
        );
        await writer?.close();
      });
      await expect(readAll(sourceOf(pipe))).rejects.toThrow(SourceAnswered);
    },
  );

  test("a file that was cut, or replaced by another one, is not read on in the middle", async () => {
    const file = await fileOf('{"n":1}\n{"n":2}\n');
    const source = sourceOf(file);
    const { window } = await readAll(source);
    await writeFile(file, '{"n":1}\n');
    await expect(readAll(source, window)).rejects.toThrow(/cut or replaced/);
    await writeFile(file, '{"m":1}\n{"m":2}\n{"m":3}\n');
    await expect(readAll(source, window)).rejects.toThrow(/does not begin like/);
  });

  test.each<[string, object]>([
    ["no path", { path: "" }],
    ["a start that is no offset", { path: "f", start: "-1" }],
    ["lines of no length", { path: "f", maxLineBytes: 0 }],
    ["an unknown option", { path: "f", pth: "g" }],
    ["a field that is no path", { path: "f", id: "a..b" }],
  ])("%s is refused when the source is defined", (_, options) => {
    expect(() => fileSource({ name: "backfill", ...options } as FileSourceOptions)).toThrow(
      expect.objectContaining({ code: "invalid_option" }),
    );
  });
});
