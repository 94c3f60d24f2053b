// Leaves in package.json and package-lock.json (of the current directory) what building and running backy needs: no test
// runner, no linters, no Node.js of npm's, since nix brings one. Fewer packages to fetch, and a hash that changes less.
import { readFileSync, writeFileSync } from "node:fs"

const change = (path, edit) => {
  const json = JSON.parse(readFileSync(path, "utf8"))
  edit(json)
  writeFileSync(path, JSON.stringify(json))
}

/** The bundler, and what is bundled: the effect packages, which a library user has already. */
const isNeeded = (name) => name === "rolldown" || name === "effect" || /^@effect\/(cli|platform|printer)/.test(name)

const reduce = (manifest) => {
  manifest.devDependencies = Object.fromEntries(
    Object.entries(manifest.devDependencies).filter(([name]) => isNeeded(name))
  )
  // a workspace of the clone's: Node.js, and the build after `npm ci`
  delete manifest.workspaces
}

change("package.json", (manifest) => {
  reduce(manifest)
  delete manifest.scripts
})
change("package-lock.json", (lock) => {
  reduce(lock.packages[""])
  for (const [place, { resolved }] of Object.entries(lock.packages)) {
    if (place === ".ci/toolchain" || resolved === ".ci/toolchain") delete lock.packages[place]
  }
})
