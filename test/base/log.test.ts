import { describe, expect, test, vi } from "vitest";
import {
  jsonLogger,
  LOG_LEVELS,
  type LogLevel,
  logLevel,
  silentLogger,
  type TracingLogger,
} from "../../src/base/log.ts";

const METHODS = ["trace", "debug", "info", "warn", "error"] as const;

function logged(level: LogLevel, write: (logger: ReturnType<typeof jsonLogger>) => void): string[] {
  const lines: string[] = [];
  write(jsonLogger(level, (line) => lines.push(line)));
  return lines;
}

function logOnEach(level: LogLevel): unknown[] {
  const lines = logged(level, (log) => {
    for (const method of METHODS) (log as TracingLogger)[method]?.({}, method);
  });
  return lines.map((line) => JSON.parse(line).level);
}

describe("the logger", () => {
  test("writes one JSON object a line, with time, level, message and the data", () => {
    const [line = ""] = logged("info", (log) => log.warn({ taskId: 42 }, "lease\nlost"));
    expect(line.endsWith("\n")).toBe(true);
    expect(line.trimEnd()).not.toContain("\n");
    const { time, ...rest } = JSON.parse(line);
    expect(rest).toEqual({ level: "warn", msg: "lease\nlost", taskId: 42 });
    expect(new Date(time).toISOString()).toBe(time);
  });

  test.each(LOG_LEVELS)("at level %s writes that level and the graver ones only", (level) => {
    expect(logOnEach(level)).toEqual(METHODS.slice(LOG_LEVELS.indexOf(level)));
  });

  test("at level silent writes nothing, not even errors", () => {
    expect(logOnEach("silent")).toEqual([]);
    expect(() => silentLogger.error({}, "unheard")).not.toThrow();
  });

  test("an empty PAWL_LOG_LEVEL is as not set; one that is no level is refused", () => {
    vi.stubEnv("PAWL_LOG_LEVEL", "");
    expect(logLevel()).toBe("info");
    vi.stubEnv("PAWL_LOG_LEVEL", "wran");
    expect(() => logLevel()).toThrow('did you mean "warn"?');
  });

  test("never throws for data that has no JSON, and still writes the message", () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    for (const data of [circle, { size: 12n }, { order: { toJSON: () => nothing() } }]) {
      const lines = logged("info", (log) => log.info(data, "loaded"));
      expect(lines.map((line) => JSON.parse(line).msg)).toEqual(["loaded"]);
    }
  });

  test("data cannot pretend another level, time or message", () => {
    const [line = ""] = logged("info", (log) => log.error({ level: "info", msg: "fine" }, "lost"));
    expect(JSON.parse(line)).toMatchObject({ level: "error", msg: "lost" });
  });
});

function nothing(): never {
  throw new Error("no JSON");
}

test("what came from elsewhere steers no terminal through a log line, and stays the same JSON", () => {
  const lines: string[] = [];
  const text = "\u009b31m \u202e \u2066 \u007f \u001b[2J \u{e0041} \u2028";
  jsonLogger("info", (line) => lines.push(line)).warn({ text, [text]: 1 }, text);
  expect(lines[0]?.slice(0, -1)).not.toMatch(
    /[\p{Cc}\u2028-\u202e\u2066-\u2069]|[\u{e0000}-\u{e007f}]/u,
  );
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ msg: text, text, [text]: 1 });
});
