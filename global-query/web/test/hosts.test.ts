import { expect, test } from "vitest";
import { answering, endpoints, endpointsOf, hostList, waiting, type Statuses } from "../src/hosts";
import { hostStatuses } from "../src/parts/hosts";

const statuses: Statuses = {
  alpha: { code: "ok", endpoint: "here" },
  beta: { code: "empty" },
  "edge/beta": { code: "ok", endpoint: "edge" },
  leaf: { code: "ok", endpoint: "left/l1" },
  deaf: { code: "error", message: "no route" },
};

test("hosts are asked by the names of their endpoints", () => {
  expect(endpoints(statuses, false)).toEqual(["here", "beta", "edge", "left/l1"]);
  expect(endpoints(statuses, true)).toContain("deaf");
  expect(endpointsOf("alpha", statuses)).toEqual(["here"]);
  expect(endpointsOf("beta", statuses)).toEqual(["beta", "edge"]);
  expect(endpointsOf("unheard-of", statuses)).toEqual(["unheard-of"]);
});

test("who is asked again: nobody who failed", () => {
  expect(answering("any", statuses, true)).toBe("here,beta,edge,left/l1");
  expect(answering("any", { alpha: statuses.alpha! }, true)).toBe("any");
  expect(answering("any", { alpha: statuses.alpha! }, false)).toBe("here");
  expect(answering("any", { deaf: statuses.deaf! }, true)).toBe("");
});

test("where a name cannot stand in a list, the hosts of the question are asked again", () => {
  expect(hostList(["a,b", "c"])).toBeNull();
  expect(answering("any", { a: { code: "ok", endpoint: "a,b" }, deaf: statuses.deaf! }, true)).toBe("any");
});

test("who has not answered yet", () => {
  expect(waiting(["here", "beta", "left", "silent"], statuses)).toEqual(["silent"]);
  const shown = hostStatuses(statuses, ["here", "silent"]);
  expect(shown.find((h) => h.host === "alpha")!.endpoint).toBe("here");
  expect(shown.filter((h) => h.code === "waiting").map((h) => h.endpoint)).toEqual(["silent"]);
});
