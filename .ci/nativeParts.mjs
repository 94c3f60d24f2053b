// @ts-check
// Prints the packages with native code that the program needs at run time and that are installed here, a line each, as
// paths below node_modules: what has to lie beside dist/ for it to run at full speed.
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

const external = ["@napi-rs/blake-hash", "koffi"]

for (const name of external) {
  const manifest = JSON.parse(readFileSync(join("node_modules", name, "package.json"), "utf8"))
  console.log(name)
  // one package for each platform, of which npm installs the ones that fit
  for (const part of Object.keys(manifest.optionalDependencies ?? {})) {
    if (existsSync(join("node_modules", part))) console.log(part)
  }
}
