// Short names for what the API documents describe (schema.ts is generated from them).
import type { components } from "./schema";

export type Args = components["schemas"]["Args"];
export type Result = components["schemas"]["Result"];
export type Row = components["schemas"]["Row"];
export type Counters = components["schemas"]["Counters"];
export type Status = components["schemas"]["Status"];
export type Problem = components["schemas"]["ErrorModel"];
export type Names = components["schemas"]["Names"];
export type Info = components["schemas"]["GetInfoOutputBody"];
