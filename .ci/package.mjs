// @ts-check
// `npm run package`: a tarball with the program, its native parts, the licence and the documentation, for machines with
// Node.js 24 and nothing else: unpack it anywhere and run dist/backy. It is for the kind of machine it was made on.
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

process.chdir(fileURLToPath(new URL("..", import.meta.url)))
const { description, license, version } = JSON.parse(readFileSync("package.json", "utf8"))
const name = `backy-${version}-${process.platform}-${process.arch}`
const folder = resolve(process.argv[2] ?? ".")

execFileSync(process.execPath, [".ci/build.mjs", "--if-stale"], { stdio: "inherit" })
const work = mkdtempSync(join(tmpdir(), "backy-package-"))
try {
  const root = join(work, name)
  mkdirSync(root)
  // The compile cache belongs to the Node.js that made it.
  cpSync("dist", join(root, "dist"), { recursive: true, filter: (path) => !/^dist\/\.(cache|built-from)/.test(path) })
  for (const part of execFileSync(process.execPath, [".ci/nativeParts.mjs"], { encoding: "utf8" }).trim().split("\n")) {
    cpSync(join("node_modules", part), join(root, "node_modules", part), { recursive: true, dereference: true })
  }
  for (const file of ["LICENSE", "README.md", "SECURITY.md", "CHANGELOG.md", "contrib"]) {
    cpSync(file, join(root, file), { recursive: true })
  }
  cpSync("docs", join(root, "docs"), { recursive: true, filter: (path) => !path.endsWith(".ts") })
  execFileSync(process.execPath, [".ci/manual.ts", join(root, "man")], { stdio: "inherit" })
  writeFileSync(join(root, "sbom.json"), execFileSync(process.execPath, [".ci/sbom.mjs"]))
  writeFileSync(
    join(root, "package.json"),
    `${JSON.stringify({ name: "backy", version, description, license, type: "module" }, null, 2)}\n`
  )

  const file = join(folder, `${name}.tgz`)
  // The same input gives the same bytes: no names, no order, no time of this machine.
  const plain = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--mode=u+rwX,go+rX,go-w"]
  execFileSync("tar", [...plain, "-C", work, "-I", "gzip -9n", "-cf", file, name])
  console.log(file)
} finally {
  rmSync(work, { recursive: true, force: true })
}
