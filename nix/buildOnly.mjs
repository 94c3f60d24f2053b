// Leaves in package.json and package-lock.json (of the current directory) what building and running backy needs: no test
// runner, no linters, no Node.js of npm's, since nix brings one. Fewer packages to fetch, and a hash that changes less.
import { readFileSync, writeFileSync } from "node:fs"

const change = (path, edit) => {
  const json = JSON.parse(readFileSync(path, "utf8"))
  edit(json)
  writeFileSync(path, JSON.stringify(json))
}

const reduce = (manifest) => {
  manifest.devDependencies = { rolldown: manifest.devDependencies.rolldown }
  for (const name of Object.keys(manifest.optionalDependencies)) {
    if (name.startsWith("node-linux-")) delete manifest.optionalDependencies[name]
  }
}

change("package.json", (manifest) => {
  reduce(manifest)
  delete manifest.scripts
})
change("package-lock.json", (lock) => reduce(lock.packages[""]))
