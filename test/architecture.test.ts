/** Proves that the rules of .ci/oxlintrc.json fire: a glob that matches nothing would let everything through in silence. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const project = fileURLToPath(new URL("..", import.meta.url))

/** Who may import whom: docs/design's arrows, written down once more and independently of the lint configuration. */
const mayImport: Record<string, ReadonlyArray<string>> = {
  "domain/": [],
  "platform/": ["domain/"],
  "nbd/": ["domain/", "platform/"],
  "ceph/": ["domain/", "platform/", "nbd/"],
  "config/": ["domain/", "platform/", "nbd/", "ceph/"],
  "store/": ["domain/", "platform/", "nbd/", "ceph/"],
  "source/": ["domain/", "platform/", "nbd/", "ceph/"],
  "remote/": ["domain/", "platform/", "nbd/", "ceph/"],
  "repository/": ["domain/", "platform/", "nbd/", "ceph/", "config/", "store/", "source/", "remote/"],
  "operation/": ["domain/", "platform/", "nbd/", "ceph/", "config/", "store/", "source/", "remote/", "repository/"],
  "daemon/": [
    "domain/",
    "platform/",
    "nbd/",
    "ceph/",
    "config/",
    "store/",
    "source/",
    "remote/",
    "repository/",
    "operation/",
    "logging.ts"
  ],
  "library/": [
    "domain/",
    "platform/",
    "nbd/",
    "ceph/",
    "config/",
    "store/",
    "source/",
    "remote/",
    "repository/",
    "operation/",
    "daemon/"
  ],
  "cli/": [
    "domain/",
    "platform/",
    "nbd/",
    "ceph/",
    "config/",
    "store/",
    "source/",
    "remote/",
    "repository/",
    "operation/",
    "logging.ts"
  ],
  "logging.ts": ["domain/", "platform/"],
  "App.ts": [
    "domain/",
    "platform/",
    "nbd/",
    "ceph/",
    "config/",
    "store/",
    "source/",
    "remote/",
    "repository/",
    "operation/",
    "daemon/",
    "library/",
    "cli/",
    "logging.ts"
  ],
  "main.ts": []
}
const rooms = Object.keys(mayImport).filter((place) => place.endsWith("/"))

interface Case {
  readonly file: string
  readonly text: string
  /** The rule that has to fire, or none at all. */
  readonly rule: string | undefined
}

const RESTRICTED = "eslint(no-restricted-imports)"

const directionCases = Object.entries(mayImport).flatMap(([from, allowed]): ReadonlyArray<Case> =>
  Object.keys(mayImport).filter((to) => to !== from && from !== "main.ts").flatMap((to): ReadonlyArray<Case> => {
    const rule = allowed.includes(to) ? undefined : RESTRICTED
    const target = to.endsWith("/") ? `${to}Some.ts` : to
    const importing = (path: string) => `export * as Other from "${path}"\n`
    if (!from.endsWith("/")) return [{ file: `src/${from}`, text: importing(`./${target}`), rule }]
    const name = `To${to.replace(/\W/g, "")}.ts`
    return [
      { file: `src/${from}${name}`, text: importing(`../${target}`), rule },
      { file: `src/${from}nested/${name}`, text: importing(`../../${target}`), rule },
      { file: `src/${from}Lazy${name}`, text: `export const lazy = () => import("../${target}")\n`, rule },
      { file: `src/${from}Type${name}`, text: `export type { Some } from "../${target}"\n`, rule }
    ]
  })
)

const everywhere = (name: string, text: string, rule: string): ReadonlyArray<Case> =>
  rooms.map((room) => ({ file: `src/${room}${name}.ts`, text, rule }))

const otherCases: ReadonlyArray<Case> = [
  ...["effect", "@effect/platform", "@effect/platform-node", "@effect/cli"].flatMap((barrel, index) => [
    ...everywhere(`Barrel${index}`, `export * as Barrel from "${barrel}"\n`, RESTRICTED),
    { file: `test/barrel${index}.test.ts`, text: `export * as Barrel from "${barrel}"\n`, rule: RESTRICTED }
  ]),
  ...everywhere("Deep", `export * as Effect from "effect/Effect"\n`, "").map((each) => ({ ...each, rule: undefined })),
  ...everywhere("Any", "export const any = (value: any) => String(value)\n", "typescript(no-explicit-any)"),
  ...everywhere("Console", `console.log("here")\n`, "eslint(no-console)"),
  ...everywhere("Unsafe", `export const x: string = JSON.parse("1")\n`, "typescript(no-unsafe-assignment)"),
  ...everywhere("Floating", "Promise.resolve(1)\n", "typescript(no-floating-promises)"),
  ...everywhere("CycleA", `import { b } from "./CycleB.ts"\nexport const a = (): number => b()\n`, "import(no-cycle)"),
  ...everywhere("CycleB", `import { a } from "./CycleA.ts"\nexport const b = (): number => a()\n`, "import(no-cycle)"),
  { file: "src/cli/output.ts", text: `console.log("here")\n`, rule: undefined },
  { file: "src/cli/Status.ts", text: `export * as S from "../daemon/StatusFile.ts"\n`, rule: undefined },
  { file: "src/domain/Node.ts", text: `export * as FS from "node:fs"\n`, rule: RESTRICTED },
  { file: "src/domain/Package.ts", text: `export * as Hashes from "@noble/hashes/utils.js"\n`, rule: RESTRICTED },
  { file: "src/domain/OtherYaml.ts", text: `export * as YAML from "yaml"\n`, rule: RESTRICTED },
  { file: "src/domain/Yaml.ts", text: `export * as YAML from "yaml"\n`, rule: undefined },
  { file: "src/domain/Buffer.ts", text: "export const b = Buffer.alloc(1)\n", rule: "eslint(no-restricted-globals)" },
  { file: "src/domain/Clock.ts", text: "export const t = Date.now()\n", rule: "eslint(no-restricted-properties)" },
  { file: "src/domain/Dice.ts", text: "export const r = Math.random()\n", rule: "eslint(no-restricted-properties)" }
]

describe("the lint rules", () => {
  const cases = [...directionCases, ...otherCases]
  let trees = ""
  const found = new Map<string, Set<string>>()

  beforeAll(() => {
    trees = mkdtempSync(join(tmpdir(), "backy-lint-"))
    cpSync(join(project, ".ci/oxlintrc.json"), join(trees, ".ci/oxlintrc.json"))
    cpSync(join(project, "tsconfig.json"), join(trees, "tsconfig.json"))
    symlinkSync(join(project, "node_modules"), join(trees, "node_modules"))
    for (const [index, { file, text }] of cases.entries()) {
      const path = join(trees, placeOf(file, index))
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
    const oxlint = join(project, "node_modules/oxlint/bin/oxlint")
    const run = spawnSync(process.execPath, [oxlint, "-c", ".ci/oxlintrc.json", "-f", "json", "src", "test", "trees"], {
      cwd: trees,
      encoding: "utf8",
      maxBuffer: 1 << 26
    })
    const report = JSON.parse(run.stdout) as {
      readonly diagnostics: ReadonlyArray<{ readonly code: string; readonly filename: string }>
    }
    for (const { code, filename } of report.diagnostics) {
      found.set(filename, (found.get(filename) ?? new Set()).add(code))
    }
  })
  afterAll(() => rmSync(trees, { recursive: true, force: true }))

  it("fire on every import against the arrows, on barrels, any, console, cycles and lost promises, and on nothing else", () => {
    const wrong = cases.flatMap(({ file, rule, text }, index) => {
      const codes = [...found.get(placeOf(file, index)) ?? []]
      const asExpected = rule === undefined ? codes.length === 0 : codes.includes(rule)
      return asExpected ? [] : [`${file}: expected ${rule ?? "nothing"}, got ${codes.join() || "nothing"}: ${text}`]
    })
    assert.strictEqual(wrong.join("\n"), "")
  })

  it("know every room and file of src/", () => {
    const places = readdirSync(join(project, "src"), { withFileTypes: true })
      .map((entry) => entry.isDirectory() ? `${entry.name}/` : entry.name)
    assert.deepStrictEqual(places.filter((place) => !(place in mayImport)), [])
  })
})

/** Files of src/ itself are tried with several texts, so each of those stands in a tree of its own. */
const placeOf = (file: string, index: number): string => /^src\/\w+\.ts$/.test(file) ? `trees/${index}/${file}` : file
