/** The test kit, `pawl/testing`: sources and streams in memory, with faults on request. */

export {
  FAKE_FAULTS,
  type FakeFault,
  type FakeRequest,
  type FakeSource,
  type FakeSourceOptions,
  fakeSource,
} from "./source.ts";
export { type FakeStream, fakeStreamClient } from "./stream-client.ts";
