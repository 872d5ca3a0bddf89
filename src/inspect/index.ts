export { type FlowReport, InspectedFlow } from "./inspected-flow.ts";
export { type CaptureInspection, inspectCapture, Inspector, type InspectorOptions } from "./inspector.ts";
export { type TunnelName, TunnelView } from "./tunnel.ts";
