/** `pawl/testing`: an app under test, and sources and streams in memory, with faults on request. */

export type { Captured, CapturedEvent, CapturedRequest, CapturedTask } from "./captured.ts";
export type { TestClock } from "./clock.ts";
export { type TestKit, testKit } from "./kit.ts";
export {
  FAKE_FAULTS,
  type FakeFault,
  type FakeRequest,
  type FakeSource,
  type FakeSourceOptions,
  fakeSource,
} from "./source.ts";
export { type FakeStream, fakeStreamClient } from "./stream-client.ts";
