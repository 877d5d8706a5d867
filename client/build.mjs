// Makes whisk.js, the one module that is shipped and served, from the modules of src/.
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { rollup } from "rollup";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));

const NOTE = '// Made from client/src by "npm run build" in client/: change it there, not here.';

/** The module's text: that of its sources, comments included, without what joins them. */
export async function bundle() {
  const entry = file("src/index.js");
  const build = await rollup({
    input: entry,
    onLog: (_, log) => {
      throw new Error(log.message);
    },
  });
  // A comment before an import belongs to nothing that is kept, so the head is put back.
  const [head] = /^\/\*\*.*?\*\/$/ms.exec(await readFile(entry, "utf8"));
  const { output } = await build.generate({ format: "es", banner: `${NOTE}\n\n${head}\n` });
  await build.close();
  return output[0].code;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(file("whisk.js"), await bundle());
}
