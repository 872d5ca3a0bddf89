export { netnsTest } from "./netns-test.ts";
