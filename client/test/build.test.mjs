// Goal: whisk.js is its sources, one module without dependencies, and nothing that somebody wrote
// into it by hand.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { bundle } from "../build.mjs";

const read = (name) => readFile(new URL(name, import.meta.url), "utf8");

test("whisk.js is what its sources give", async () => {
  assert.ok(
    (await read("../whisk.js")) === (await bundle()),
    'whisk.js differs from client/src: run "npm run build" in client/',
  );
});

test("whisk.js is one module that imports nothing", async () => {
  const text = await read("../whisk.js");
  assert.match(text, /^\/\/ Made from client\/src/);
  assert.doesNotMatch(text, /^\s*import\b|\bimport\(|\brequire\(/m);
});
