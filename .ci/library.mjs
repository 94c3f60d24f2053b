// @ts-check
// Makes lib/, which the `exports` of package.json point to: src/ without its program, as JavaScript with declarations.
// `npm pack` runs it (prepack). `node .ci/library.mjs FOLDER` puts lib/ elsewhere.
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const lib = resolve(process.argv[2] ?? root, "lib")
const compiler = join(root, "node_modules/typescript/bin/tsc")
rmSync(lib, { recursive: true, force: true })
execFileSync(process.execPath, [compiler, "-p", join(root, ".ci/tsconfig.library.json"), "--outDir", lib], {
  stdio: "inherit"
})
for (const file of readdirSync(lib, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".js"))) {
  const code = readFileSync(join(lib, file), "utf8")
  // the compiler rewrites imports only
  writeFileSync(join(lib, file), code.replaceAll(/(new URL\("\.\/\w+)\.ts(", import\.meta\.url\))/g, "$1.js$2"))
}
